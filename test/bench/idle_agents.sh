#!/bin/sh
# SPDX-License-Identifier: ISC
# idle_agents - what AGENTS (5000) idle agents' sessions cost one relay, plain and with TLS: memory for each session, and
# CPU time over IDLE_S (30) seconds in which nothing happens but pings.
#
#     test/bench/idle_agents.sh            needs ./tunnel and build/test/agents (make all test-tools)
set -eu

tunnel=${TUNNEL_BIN:-./tunnel}
agents=${AGENTS_BIN:-build/test/agents}
n=${AGENTS:-5000}
idle_s=${IDLE_S:-30}
. "$(dirname "$0")/lib.sh"

# pss_rss PID - both in KiB.
pss_rss() {
	awk '/^Pss:/ { p = $2 } /^Rss:/ { r = $2 } END { print p, r }' "/proc/$1/smaps_rollup"
}

# cpu_ms PID - user and system time so far.
cpu_ms() {
	awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print int(($12 + $13) * 1000 / hz) }' "/proc/$1/stat"
}

measure() { # measure plain|tls
	start_relay "$1" --max-handshakes 100000
	pid=$relay_pid
	set -- "$1" "$(pss_rss "$pid")"
	mkfifo "$dir/hold.$1"
	"$agents" "$n" "$relay_url" --secret-file "$dir/agent.secret" ${ca:+--ca "$ca"} --ready \
		<"$dir/hold.$1" >"$dir/agents.$1" 2>"$dir/agents.$1.log" &
	agents_pid=$!
	started="$agents_pid $started"
	exec 9>"$dir/hold.$1"
	begin=$(now_ms)
	wait_for 300 $agents_pid grep -q '^ready' "$dir/agents.$1"
	took=$(($(now_ms) - begin))
	before=$(cpu_ms "$pid")
	pause "$idle_s"
	cpu=$(($(cpu_ms "$pid") - before))
	echo "$1 $2 $(pss_rss "$pid") $n $took $cpu $idle_s" | awk '{
		printf "%-5s  %d sessions in %.1f s  relay PSS %.1f -> %.1f MiB, RSS %.1f -> %.1f MiB: %.2f KiB PSS, %.2f KiB RSS for each; CPU %d ms in %d s idle (%.2f %%)\n",
			$1, $6, $7 / 1000, $2 / 1024, $4 / 1024, $3 / 1024, $5 / 1024, ($4 - $2) / $6, ($5 - $3) / $6, $8, $9, $8 / $9 / 10 }'
	exec 9>&-
	stop $agents_pid
	stop "$pid"
}

measure plain
measure tls
