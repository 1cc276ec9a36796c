#!/bin/sh
# SPDX-License-Identifier: ISC
# Whoever opens streams without end writes 200 lines a second into the relay's log and no more; what is left out is counted.
# limit: 120
. "$(dirname "$0")/lib.sh"

start_relay relay
start_agent lab
n=3000
began=$(date +%s)
python3 "$here/open_flood.py" "$relay_port" client-secret-of-this-test $n none >"$tmp/told" || fail "the flood"
expect "streams opened" $n "$(cat "$tmp/told")"

lines() { grep -c "stream .* -> lab:none" "$tmp/relay.log"; }
left_out() { sed -n 's/.*: \([0-9]*\) lines left out$/\1/p' "$tmp/$1.log" | awk '{ n += $1 } END { print n + 0 }'; }
# Each stream was a line at least: it is there or counted, once quiet has returned.
all_told() { [ $(($(lines) + $(left_out relay))) -ge $n ]; }
wait_for "the count of what was left out" all_told
seconds=$(($(date +%s) - began + 2))
echo "$(lines) lines in $seconds s, $(left_out relay) left out; the agent left out $(left_out lab)"
[ "$(lines)" -le $((200 * seconds)) ] || fail "$(lines) lines in $seconds s"
[ "$(wc -c <"$tmp/lab.log")" -lt $((100 * 200 * seconds)) ] || fail "the agent's log has $(wc -c <"$tmp/lab.log") bytes"
# Of the same identity, in the next second: its lines are there again.
start_tcp greet greet hello
seen() {
	connect lab 127.0.0.1 "$tcp_port" </dev/null >/dev/null && has_line "$tmp/relay.log" "stream .*:$tcp_port: opened"
}
wait_for "a stream that is in the log" seen
