# SPDX-License-Identifier: ISC
# shellcheck shell=sh
# lib - what the benchmarks share: a temporary directory, relay and agent on ephemeral ports, waiting, the end.
# Sourced by scripts that have set $tunnel.  Everything that is started is stopped by its process id.

: "${tunnel:?set by the script that sources this}"
dir=$(mktemp -d "${TMPDIR:-/tmp}/tunnel-bench.XXXXXX")
started=
tick=0.05

die() {
	echo "$(basename "$0"): $*" >&2
	for log in "$dir"/*.log; do
		[ -s "$log" ] && { echo "--- $(basename "$log")"; tail -n 20 "$log"; } >&2
	done
	exit 1
}

# stop PID - and forget it.
stop() {
	kill "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
	started=$(for p in $started; do [ "$p" = "$1" ] || printf '%s ' "$p"; done)
}

bench_end() {
	trap - EXIT INT TERM
	for p in $started; do kill "$p" 2>/dev/null || true; done
	for p in $started; do wait "$p" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap bench_end EXIT
trap 'exit 130' INT TERM

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# pause SECONDS - the time that is measured; nothing is waited for.
pause() { sleep "$1"; }

# wait_for SECONDS PID COMMAND... - until the command succeeds; dies when PID has ended or time is up.
wait_for() {
	until_ms=$(($(now_ms) + $1 * 1000))
	of=$2
	shift 2
	until "$@" 2>/dev/null; do
		kill -0 "$of" 2>/dev/null || die "process $of has ended while waiting for: $*"
		[ "$(now_ms)" -lt $until_ms ] || die "timed out waiting for: $*"
		sleep $tick
	done
}

# start_relay plain|tls [OPTION...] - sets relay_pid, relay_port, relay_url, ca.  Its secrets: $dir/agent.secret for any of
# the agents of bench_agents, $dir/client.secret.
start_relay() {
	kind=$1
	shift
	make_secrets
	ca=
	scheme=ws
	if [ "$kind" = tls ]; then
		[ -e "$dir/cert.pem" ] ||
			"$tunnel" keygen --self-signed localhost 127.0.0.1 --cert "$dir/cert.pem" --key "$dir/key.pem" >/dev/null
		ca=$dir/cert.pem
		scheme=wss
		set -- --tls-cert "$dir/cert.pem" --tls-key "$dir/key.pem" "$@"
	fi
	rm -f "$dir/relay.ready"
	"$tunnel" relay --listen 127.0.0.1:0 --credentials "$dir/creds.json" --ready-file "$dir/relay.ready" --log-level warn \
		"$@" 2>>"$dir/relay.log" &
	relay_pid=$!
	started="$relay_pid $started"
	wait_for 10 $relay_pid test -s "$dir/relay.ready"
	relay_port=$(sed 's/.*"port":\([0-9]*\).*/\1/' "$dir/relay.ready")
	relay_url=$scheme://127.0.0.1:$relay_port
}

# make_secrets - one for all agents (bench, a0 to aN-1), one for clients.
make_secrets() {
	[ -e "$dir/creds.json" ] && return
	agent_digest=$("$tunnel" keygen --secret -o "$dir/agent.secret")
	client_digest=$("$tunnel" keygen --secret -o "$dir/client.secret")
	{
		printf '{"edge-agents":{"bench":"%s"' "$agent_digest"
		i=0
		while [ $i -lt "${n:-0}" ]; do
			printf ',\n"a%d":"%s"' $i "$agent_digest"
			i=$((i + 1))
		done
		printf '},\n"access-client-secrets":["%s"]}\n' "$client_digest"
	} >"$dir/creds.json"
}

# start_agent [OPTION...] - the agent "bench" at $relay_url; sets agent_pid.
start_agent() {
	rm -f "$dir/agent.ready"
	"$tunnel" agent --relay "$relay_url" ${ca:+--ca "$ca"} --name bench --secret-file "$dir/agent.secret" \
		--ready-file "$dir/agent.ready" --log-level warn "$@" 2>>"$dir/agent.log" &
	agent_pid=$!
	started="$agent_pid $started"
	wait_for 20 $agent_pid test -s "$dir/agent.ready"
}

# connect OPTION... - a client of $relay_url.
connect() {
	"$tunnel" connect --relay "$relay_url" ${ca:+--ca "$ca"} --secret-file "$dir/client.secret" "$@"
}
