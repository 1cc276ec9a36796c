#!/bin/sh
# SPDX-License-Identifier: ISC
# parallel_streams - STREAMS (200) processes of connect through one agent, each with MIB (4) MiB each way at the same time and
# checksums at both ends; then the same beside a stream whose far end never reads.  Prints seconds, MB/s, and the most memory
# that relay, agent and the stalled client have held.
# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
here=$here/../e2e # start_tcp runs the server of the tests

streams=${STREAMS:-200}
mib=${MIB:-4}
WAIT_S=120

make_data "$tmp/up" $((mib * 1048576))
make_data "$tmp/down" $((mib * 1048576))
up=$(sum_of "$tmp/up")
start_tcp swap swap "$tmp/down"
swap_port=$tcp_port
start_tcp stall stall
stall_port=$tcp_port
start_relay relay --log-level warn --connection-rate 1000000
start_agent pi --log-level warn

# run LABEL
run() {
	: >"$tmp/swap.port.got"
	rm -f "$tmp/sums"
	begin=$(date +%s%N)
	i=0
	running=
	while [ $i -lt "$streams" ]; do
		{ connect pi 127.0.0.1 "$swap_port" <"$tmp/up" || echo broken; } | sha256sum >"$tmp/sum.$i" &
		running="$running $!"
		i=$((i + 1))
	done
	for pid in $running; do wait "$pid"; done
	took=$((($(date +%s%N) - begin) / 1000000))
	cat "$tmp"/sum.* | sort | uniq -c >"$tmp/sums"
	all_got() { [ "$(wc -l <"$tmp/swap.port.got")" = "$streams" ]; }
	wait_for "the server to have seen all ends" all_got
	right_down=$(awk -v want="$(sum_of "$tmp/down")" '$2 == want { print $1 }' "$tmp/sums")
	right_up=$(grep -c "^$up " "$tmp/swap.port.got" || true)
	echo "$1 $streams $mib $took ${right_down:-0} $right_up $(peak_kib relay) $(peak_kib pi)" | awk '{
		printf "%-15s %d streams, %d MiB each way: %.1f s, %.0f MB/s; right checksums: %d down, %d up; peak memory: relay %.1f MiB, agent %.1f MiB\n",
			$1, $2, $3, $4 / 1000, 2 * $2 * $3 * 1048.576 / $4, $5, $6, $7 / 1024, $8 / 1024 }'
	expect "right checksums" "$streams $streams" "${right_down:-0} $right_up"
}

# The stalled one: it offers as much as anybody takes, and nobody does.
start_stalled() {
	head -c 1G /dev/zero >"$tmp/zeros"
	"$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/client.secret" pi 127.0.0.1 "$stall_port" \
		<"$tmp/zeros" >/dev/null 2>"$tmp/stalled.log" &
	echo $! >"$tmp/stalled.pid"
	echo stalled >>"$tmp/started"
	last=-1
	full() { # it has read no more since the last look
		now=$(awk '/^rchar/ { print $2 }' "/proc/$(pid_of stalled)/io")
		[ "$now" != "$last" ] || return 0
		last=$now
		return 1
	}
	sleep "${SETTLE_S:-1}"
	wait_for "the stalled stream to fill" full
	echo "stalled: has taken $(awk "BEGIN { printf \"%.1f\", $last / 1048576 }") MiB of 1024 from its input"
}

echo "before: $(rss_kib relay) KiB relay, $(rss_kib pi) KiB agent"
run alone
run again
start_stalled
run beside-stalled
is_dead stalled && fail "the stalled stream broke"
echo "stalled client: peak $(peak_kib stalled) KiB"
