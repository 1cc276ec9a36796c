#!/bin/sh
# SPDX-License-Identifier: ISC
# A second agent under a living name replaces the first, who is told and leaves; with --on-duplicate refuse it is refused.
# One that is saying goodbye is in nobody's way, and one that no longer answers gives its place to its successor.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_tcp one greet one
one=$tcp_port
start_tcp two greet two
two=$tcp_port
start_relay relay
start_agent old --name pi --tcp "who=127.0.0.1:$one"
expect "the first" one "$(connect pi who </dev/null)"
start_agent new --name pi --tcp "who=127.0.0.1:$two"
wait_for "the first to leave" is_dead old
stop old
expect "exit status of the one that was replaced" 3 "$code"
# Or systemd would start it again, and the two would take the name from each other for ever.
sed -n 's/^ *RestartPreventExitStatus=//p' "$here/../../README.md" | grep -qw "$code" || fail "the README's unit starts it again"
has_line "$tmp/old.log" "another agent has logged in under this name; give each agent a --name of its own" || fail "the old one was not told why"
has_line "$tmp/relay.log" "agent pi: replaced session from .*last heard [0-9.]* s ago" || fail "the relay does not say it"
expect "the second" two "$(connect pi who </dev/null)"
stop new
stop relay

start_relay relay2 --on-duplicate refuse --threads 4
start_agent first --name pi --tcp "who=127.0.0.1:$one"
start late "$TUNNEL_BIN" agent --relay "$relay_url" --name pi --secret-file "$tmp/agent.secret" --tcp "who=127.0.0.1:$two"
wait_for "the late one to be refused" has_line "$tmp/late.log" "another agent is connected under this name"
expect "the first stays" one "$(connect pi who </dev/null)"

# A refused one is gone as soon as it has said goodbye, whichever worker it had come to first.
for i in 1 2 3 4; do
	start "late$i" "$TUNNEL_BIN" agent --relay "$relay_url" --name pi --secret-file "$tmp/agent.secret"
done
ended() { [ "$(grep -c 'ended before login' "$tmp/relay2.log")" -ge 5 ]; }
wait_for "the refused ones to end" ended
! has_line "$tmp/relay2.log" "did not say goodbye" || fail "a refused agent was waited for in vain"

# While the first drains, another takes over; streams of the first end in their own time.
start_tcp echo echo
mkfifo "$tmp/in"
start stream sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' pi 127.0.0.1 $tcp_port <'$tmp/in' >'$tmp/out'"
exec 3>"$tmp/in"
echo before >&3
wait_for "the stream" has_line "$tmp/out" before
kill -TERM "$(pid_of first)"
wait_for "the goodbye" has_line "$tmp/relay2.log" "agent pi: says goodbye"
start_agent second --name pi --tcp "who=127.0.0.1:$two" 3>&- # or it would keep the stream open
expect "its successor" two "$(connect pi who </dev/null)"
echo after >&3
wait_for "the stream to go on" has_line "$tmp/out" after
exec 3>&-
code=0
wait "$(pid_of stream)" || code=$?
expect "exit status of the stream" 0 "$code"
wait_for "the first to leave" is_dead first
stop relay2

# A relay that is full lets an agent take the place of its own stale session.
start_relay relay3 --max-agents 1
start_agent stuck --name pi
kill -STOP "$(pid_of stuck)"
start_agent again --name pi --tcp "who=127.0.0.1:$two"
expect "the one that came back" two "$(connect pi who </dev/null)"
start other "$TUNNEL_BIN" agent --relay "$relay_url" --name lab --secret-file "$tmp/agent.secret"
wait_for "another to be refused" has_line "$tmp/other.log" "the relay has no room for another agent"
