#!/bin/sh
# SPDX-License-Identifier: ISC
# demo - what the program is for, shown on real input: a private sshd, a relay with its own certificate, an agent, and
# ssh through ProxyCommand that carries DEMO_MIB (256) MiB each way; then a local web server at a public port of the same
# agent, which curl reaches without any of our programs.  Prints the hashes of both sides, the speed, and the speed of the
# same programs without a tunnel.  Stops all it has started; fails if a hash differs.
set -u

tunnel=${TUNNEL_BIN:-$(pwd)/tunnel}
mib=${DEMO_MIB:-256}
tick=0.05
ticks=400 # 20 s

PATH=$PATH:/usr/sbin:/sbin
pids=
made_run=
failed=0
dir=$(mktemp -d "${TMPDIR:-/tmp}/tunnel-demo.XXXXXX") || exit 1

say() { printf '%s\n' "$*"; }

die() {
	say "demo: $*" >&2
	for log in "$dir"/*.log; do
		[ -s "$log" ] && { say "--- $(basename "$log")"; tail -n 20 "$log"; } >&2
	done
	exit 1
}

stop_all() {
	trap - EXIT INT TERM
	for pid in $pids; do kill "$pid" 2>/dev/null; done
	for pid in $pids; do wait "$pid" 2>/dev/null; done
	[ -n "$made_run" ] && rmdir /run/sshd 2>/dev/null
	rm -rf "$dir"
}
trap 'stop_all' EXIT
trap 'exit 130' INT TERM

# until_true PID COMMAND... - until the command succeeds; fails when PID has ended or time is up.
until_true() {
	pid=$1
	shift
	n=0
	until "$@"; do
		kill -0 "$pid" 2>/dev/null || return 1
		n=$((n + 1))
		[ $n -lt $ticks ] || return 1
		sleep $tick
	done
}

# ---- sshd ----

start_sshd() {
	[ -n "$(command -v sshd)" ] || die "no sshd: run 'make deps' (openssh-server)"
	pam=no
	if [ "$(id -u)" = 0 ]; then
		[ -d /run/sshd ] || { mkdir -p /run/sshd && chmod 755 /run/sshd && made_run=1; }
		# A root without a password ("!") may log in by key through PAM only.
		case $(getent shadow root | cut -d: -f2) in '!'*) pam=yes ;; esac
	fi
	ssh-keygen -q -t ed25519 -N '' -C demo-host -f "$dir/host" || die "ssh-keygen failed"
	ssh-keygen -q -t ed25519 -N '' -C demo-user -f "$dir/user" || die "ssh-keygen failed"
	cp "$dir/user.pub" "$dir/authorized"
	printf 'demo %s\n' "$(cat "$dir/host.pub")" >"$dir/known"
	# sshd cannot be asked to choose a port, so a taken one costs another attempt.
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		sshd_port=$(($(od -An -N2 -tu2 /dev/urandom) % 20000 + 40000))
		cat >"$dir/sshd_config" <<-END
			ListenAddress 127.0.0.1
			Port $sshd_port
			HostKey $dir/host
			AuthorizedKeysFile $dir/authorized
			PidFile none
			StrictModes no
			UsePAM $pam
			PasswordAuthentication no
			KbdInteractiveAuthentication no
			PermitRootLogin prohibit-password
			PrintMotd no
			Subsystem sftp internal-sftp
		END
		: >"$dir/sshd.log"
		"$(command -v sshd)" -D -e -f "$dir/sshd_config" >"$dir/sshd.log" 2>&1 &
		sshd_pid=$!
		if until_true $sshd_pid grep -q 'Server listening' "$dir/sshd.log"; then
			pids="$pids $sshd_pid"
			return
		fi
		kill $sshd_pid 2>/dev/null
	done
	die "sshd does not start"
}

# ---- a web server ----

start_web() {
	python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$dir/web" >"$dir/web.log" 2>&1 &
	web_pid=$!
	pids="$pids $web_pid"
	until_true $web_pid grep -q 'Serving HTTP' "$dir/web.log" || die "the web server does not start"
	web_port=$(sed -n 's/^Serving HTTP.* port \([0-9]*\).*/\1/p' "$dir/web.log")
}

# ---- tunnel ----

start_relay() {
	"$tunnel" keygen --self-signed localhost 127.0.0.1 --cert "$dir/cert.pem" --key "$dir/key.pem" >"$dir/pin" ||
		die "no certificate"
	agent_digest=$("$tunnel" keygen --secret -o "$dir/agent.secret") || die "no secret"
	client_digest=$("$tunnel" keygen --secret -o "$dir/client.secret") || die "no secret"
	cat >"$dir/creds.json" <<-END
		{"edge-agents": {"demo": "$agent_digest"},
		 "clients": {"you": {"secret": "$client_digest", "agents": ["demo"], "targets": ["ssh"]}}}
	END
	"$tunnel" relay --listen 127.0.0.1:0 --tls-cert "$dir/cert.pem" --tls-key "$dir/key.pem" \
		--credentials "$dir/creds.json" --ports 30000-39999 --ready-file "$dir/relay.ready" 2>"$dir/relay.log" &
	relay_pid=$!
	pids="$relay_pid $pids"
	until_true $relay_pid test -s "$dir/relay.ready" || die "the relay does not start"
	relay=wss://127.0.0.1:$(sed 's/.*"port":\([0-9]*\).*/\1/' "$dir/relay.ready")
}

start_agent() {
	"$tunnel" agent --relay "$relay" --ca "$dir/cert.pem" --name demo --secret-file "$dir/agent.secret" \
		--tcp "ssh=127.0.0.1:$sshd_port" --tcp "auto=127.0.0.1:$web_port" --ready-file "$dir/agent.ready" 2>"$dir/agent.log" &
	agent_pid=$!
	pids="$agent_pid $pids"
	until_true $agent_pid test -s "$dir/agent.ready" || die "the agent does not connect"
	public=$(sed -n 's/.*"public":"\([^"]*\)".*/\1/p' "$dir/agent.ready")
	[ -n "$public" ] || die "the agent got no public port"
}

# ---- transfers ----

by_ssh() { # by_ssh DIRECT|TUNNEL COMMAND
	case $1 in
	direct) set -- -p "$sshd_port" 127.0.0.1 "$2" ;;
	tunnel) set -- -o ProxyCommand="$proxy" demo "$2" ;;
	esac
	ssh -F none -i "$dir/user" -l "$(id -un)" -o IdentitiesOnly=yes -o BatchMode=yes -o HostKeyAlias=demo \
		-o UserKnownHostsFile="$dir/known" -o StrictHostKeyChecking=yes -o LogLevel=ERROR "$@"
}

# transfer up|down direct|tunnel - sets hash and speed (MB/s).
transfer() {
	begin=$(date +%s%N)
	case $1 in
	up) hash=$(by_ssh "$2" sha256sum <"$dir/web/data") || die "ssh $1 ($2) failed" ;;
	down) hash=$(by_ssh "$2" "cat '$dir/web/data'" | sha256sum) || die "ssh $1 ($2) failed" ;;
	esac
	took=$((($(date +%s%N) - begin) / 1000000))
	hash=${hash%% *}
	speed=$((mib * 1048576 / 1000 / (took + 1)))
}

# both up|down WHERE - through the tunnel and directly, compared.
both() {
	transfer "$1" tunnel
	tunnel_hash=$hash tunnel_speed=$speed
	transfer "$1" direct
	say "  $1"
	say "    here      $want"
	say "    $2 $tunnel_hash   through the tunnel, $tunnel_speed MB/s"
	say "    $2 $hash   without,            $speed MB/s; ratio $(awk "BEGIN{printf \"%.2f\", $tunnel_speed / $speed}")"
	[ "$tunnel_hash" = "$want" ] && [ "$hash" = "$want" ] || failed=1
}

# by_curl WHERE URL - sets hash and speed (MB/s).
by_curl() {
	begin=$(date +%s%N)
	hash=$(curl -fsS "$2" | sha256sum) || die "curl $2 failed"
	took=$((($(date +%s%N) - begin) / 1000000))
	hash=${hash%% *}
	speed=$((mib * 1048576 / 1000 / (took + 1)))
	say "    $1 $hash   $speed MB/s"
	[ "$hash" = "$want" ] || failed=1
}

[ -x "$tunnel" ] || die "$tunnel is not there: run 'make'"
say "== ssh through a tunnel, $mib MiB each way =="
mkdir "$dir/web"
head -c $((mib * 1048576)) /dev/urandom >"$dir/web/data" || die "no room for $mib MiB in $dir"
start_sshd
start_web
start_relay
start_agent
proxy="'$tunnel' connect --relay $relay --ca $dir/cert.pem --secret-file $dir/client.secret demo ssh"
say "  sshd   127.0.0.1:$sshd_port, process $sshd_pid"
say "  relay  $relay, process $relay_pid"
say "  agent  demo, process $agent_pid"
say "  ssh -o ProxyCommand=\"$proxy\" demo sha256sum"
want=$(sha256sum <"$dir/web/data")
want=${want%% *}
both up 'at sshd  '
both down 'from sshd'
say "== a public port of the same agent =="
say "  web server  127.0.0.1:$web_port, process $web_pid"
say "  curl http://$public/data        a port of the relay, open to programs that know nothing of tunnel"
say "    here           $want"
by_curl 'from the port ' "http://$public/data"
by_curl 'without tunnel' "http://127.0.0.1:$web_port/data"
if [ $failed != 0 ]; then
	die "a hash differs"
fi
say "All hashes are the same.  Stopping sshd, web server, relay and agent."
