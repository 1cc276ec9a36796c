#!/bin/sh
# SPDX-License-Identifier: ISC
# idle_agents - what AGENTS (5000) idle agents' sessions cost one relay, plain and with TLS: memory for each session, and
# CPU time over IDLE_S (30) seconds in which nothing happens but pings.
#
#     make all test-tools && test/bench/idle_agents.sh
# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

n=${AGENTS:-5000}
idle_s=${IDLE_S:-30}
WAIT_S=600 # thousands of TLS handshakes, both ends on this machine

printf 'secret-of-all-agents' >"$tmp/agent.secret"
chmod 600 "$tmp/agent.secret"
awk -v n="$n" 'BEGIN {
	printf "{\"edge-agents\":{"
	for (i = 0; i < n; i++)
		printf "%s\"a%d\":\"secret-of-all-agents\"", i ? ",\n" : "", i
	print "}}"
}' >"$tmp/creds.json"

# pss_rss NAME - both in KiB.
pss_rss() { awk '/^Pss:/ { p = $2 } /^Rss:/ { r = $2 } END { print p, r }' "/proc/$(pid_of "$1")/smaps_rollup"; }

# cpu_ms NAME - user and system time so far.
cpu_ms() {
	awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print int(($12 + $13) * 1000 / hz) }' "/proc/$(pid_of "$1")/stat"
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

measure() { # measure LABEL [OPTION OF THE TOOL...]
	label=$1
	shift
	empty=$(pss_rss "$label")
	begin=$(now_ms)
	start "agents-$label" "$TUNNEL_TOOLS/agents" "$n" "$relay_url" --secret-file "$tmp/agent.secret" --ready "$@"
	ready_or_dead() { has_line "$tmp/agents-$label.log" '^ready' || is_dead "agents-$label"; }
	wait_for "$n sessions" ready_or_dead
	has_line "$tmp/agents-$label.log" '^ready' || fail "agents has ended"
	took=$(($(now_ms) - begin))
	before=$(cpu_ms "$label")
	sleep "$idle_s"
	echo "$label $empty $(pss_rss "$label") $n $took $(($(cpu_ms "$label") - before)) $idle_s" | awk '{
		printf "%-6s %d sessions in %.1f s; relay: PSS %.1f -> %.1f MiB, RSS %.1f -> %.1f MiB: %.2f KiB PSS, %.2f KiB RSS for each; ",
			$1, $6, $7 / 1000, $2 / 1024, $4 / 1024, $3 / 1024, $5 / 1024, ($4 - $2) / $6, ($5 - $3) / $6
		printf "CPU %d ms in %d s (%.2f %%)\n", $8, $9, $8 / $9 / 10 }'
	stop "agents-$label"
	stop "$label"
}

start_relay plain --log-level warn
measure plain
make_cert relay localhost
start_relay tls --log-level warn --tls-cert "$tmp/relay.pem" --tls-key "$tmp/relay.key"
measure tls --ca "$tmp/relay.pem"
