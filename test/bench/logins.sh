#!/bin/sh
# SPDX-License-Identifier: ISC
# logins - N (1000) agents log in by secret and by key, plain and over TLS: logins a second (both ends on this machine), the relay's
# CPU time for each, its memory for each session; then the memory of one idle agent, and how long a refusal of a wrong key takes
# (median of TIMES, 101) for a name that there is, one that there is not, and one that logs in by secret.
#
#     make all test-tools && test/bench/logins.sh
# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

n=${N:-1000}
times=${TIMES:-101}
settle_s=${SETTLE_S:-3}
WAIT_S=600 # thousands of handshakes, both ends on this machine

printf 'secret-of-all-agents' >"$tmp/agent.secret"
chmod 600 "$tmp/agent.secret"
make_key relay agent stranger
awk -v n="$n" -v key="$(public_key agent)" 'BEGIN {
	printf "{\"edge-agents\":{\"by-secret\": \"secret-of-all-agents\""
	for (i = 0; i < n; i++)
		printf ",\n\"a%d\":{\"secret\":\"secret-of-all-agents\",\"key\":\"%s\"}", i, key
	print "}}"
}' >"$tmp/creds.json"

# Private memory: the rest are pages of libraries.
anon() { awk '/^Pss_Anon:/ { print $2 }' "/proc/$(pid_of "$1")/smaps_rollup"; } # KiB
pss() { awk '/^Pss:/ { print $2 }' "/proc/$(pid_of "$1")/smaps_rollup"; } # KiB
cpu_ms() {
	awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print int(($12 + $13) * 1000 / hz) }' "/proc/$(pid_of "$1")/stat"
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# measure LABEL LOGIN [OPTION OF THE RELAY... -- OPTION OF THE TOOL...]
measure() {
	label=$1-$2 login="--secret-file $tmp/agent.secret"
	[ "$2" = secret ] || login="--key-file $tmp/agent.key --relay-key $(public_key relay)"
	case $1 in
	tls)
		start_relay "$label" --log-level warn --key-file "$tmp/relay.key" --tls-cert "$tmp/tls.pem" --tls-key "$tmp/tls.key"
		login="$login --ca $tmp/tls.pem"
		;;
	*) start_relay "$label" --log-level warn --key-file "$tmp/relay.key" ;;
	esac
	empty=$(pss "$label") cpu=$(cpu_ms "$label") begin=$(now_ms)
	# shellcheck disable=SC2086
	start "agents-$label" "$TUNNEL_TOOLS/agents" "$n" "$relay_url" --ready $login
	ready_or_dead() { has_line "$tmp/agents-$label.log" '^ready' || is_dead "agents-$label"; }
	wait_for "$n sessions" ready_or_dead
	has_line "$tmp/agents-$label.log" '^ready' || fail "agents has ended"
	took=$(($(now_ms) - begin))
	echo "$label $n $took $(($(cpu_ms "$label") - cpu)) $empty $(pss "$label")" | awk '{
		printf "%-13s %d logins in %.1f s: %.0f a second; relay: %.2f ms of CPU, %.1f KiB each\n",
			$1, $2, $3 / 1000, $2 * 1000 / $3, $4 / $2, ($6 - $5) / $2 }'
	stop "agents-$label"
	stop "$label"
}

make_cert tls localhost
for way in plain tls; do
	for login in secret key; do measure $way $login; done
done

start_relay relay --log-level error --key-file "$tmp/relay.key"
start_agent a0
start_agent a1 --key-file "$tmp/agent.key" --relay-key "$(public_key relay)"
sleep "$settle_s"
echo "one idle agent: by secret $(pss a0) KiB of PSS, $(anon a0) of them its own; by key $(pss a1), $(anon a1)"

# median NAME - milliseconds of whole runs of the program, which are refused.
median() {
	i=0
	while [ $i -lt "$times" ]; do
		t=$(date +%s%N)
		exit_code "$TUNNEL_BIN" agent --relay "$relay_url" --name "$1" --key-file "$tmp/stranger.key" --relay-key "$(public_key relay)"
		[ "$code" = 3 ] || fail "not refused"
		echo $((($(date +%s%N) - t) / 1000))
		i=$((i + 1))
	done | sort -n | awk '{ v[NR] = $1 } END { printf "%.2f (%.2f to %.2f)", v[int((NR + 1) / 2)] / 1000, v[int(NR / 4) + 1] / 1000, v[int(NR * 3 / 4) + 1] / 1000 }'
}
echo "ms until a wrong key is refused, median and quartiles: a known name $(median a2), none $(median nobody), one with a secret $(median by-secret)"
