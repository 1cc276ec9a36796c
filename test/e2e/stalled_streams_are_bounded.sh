#!/bin/sh
# SPDX-License-Identifier: ISC
# What a client's streams make the relay hold is bounded, however many there are; those that stand still go, and nobody else's.
# limit: 180
. "$(dirname "$0")/lib.sh"

start_relay relay
start_agent lab
start_tcp echo echo
mkfifo "$tmp/in"
start other sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' lab 127.0.0.1 $tcp_port <'$tmp/in' >'$tmp/out'"
exec 3>"$tmp/in"
echo before >&3
wait_for "the other session" has_line "$tmp/out" before

mkfifo "$tmp/hold"
start hoarders sh -c "exec python3 '$here/hoarders.py' $relay_port 1200 agent-secret-of-this-test client-secret-of-this-test <'$tmp/hold' >'$tmp/told'"
exec 4>"$tmp/hold"
told() { [ -s "$tmp/told" ] || is_dead hoarders; }
wait_quietly 100 told || fail "the hoarders did not come to an end"
cat "$tmp/told"
echo "the relay's memory: $(peak_kib relay) KiB at most"
# A stream's bytes stand in blocks that hold others' too, so 64 MiB of them pin up to 128 (MUX_WEIGHT_SUM_MAX). All 1200 streams,
# with 128 KiB each, would be twice that.
has_line "$tmp/told" '; first=whole; strange=\[\]' || fail "wrong streams were reset"
n=$(cut -d';' -f1 "$tmp/told")
[ "$n" -le 760 ] || fail "$n streams were reset"
[ -n "${TUNNEL_SAN:-}" ] || [ "$(peak_kib relay)" -lt 160000 ] || fail "the relay grew to $(peak_kib relay) KiB"
echo after >&3
wait_for "the other session to go on" has_line "$tmp/out" after
exec 4>&-
exec 3>&-
code=0
wait "$(pid_of other)" || code=$?
expect "exit status of the other stream" 0 "$code"
