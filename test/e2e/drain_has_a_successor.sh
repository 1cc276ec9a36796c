#!/bin/sh
# SPDX-License-Identifier: ISC
# A relay that drains with long streams open: agent and clients dial again at once, and the relay that has taken its place serves new
# streams, while the old ones go on, through the old one, to their last byte.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_tcp hash hash
start_tcp greet greet hello
greet_port=$tcp_port
hash_port=$(cat "$tmp/hash.port")
port=$(free_port)
start_relay first --listen "127.0.0.1:$port" --drain 60s
start_agent pi --carriers 2
start_connect local -L "0=pi:127.0.0.1:$hash_port" -L "0=pi:127.0.0.1:$greet_port"
old_port=$(json "$tmp/local.ready" 'd["local"][0]["port"]')
new_port=$(json "$tmp/local.ready" 'd["local"][1]["port"]')

# Two long streams: one by standard input and output, one by a local port.
make_data "$tmp/part1" 3000000
make_data "$tmp/part2" 5000000
cat "$tmp/part1" "$tmp/part2" >"$tmp/whole"
mkfifo "$tmp/in" "$tmp/in2"
start stdio sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' pi 127.0.0.1 $hash_port <'$tmp/in' >'$tmp/out'"
cat >"$tmp/feed.py" <<'PYTHON'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(60)
with open(sys.argv[2], "rb") as f:
    while True:
        d = f.read(65536)
        if not d:
            break
        s.sendall(d)
s.shutdown(socket.SHUT_WR)
print(s.makefile().readline().strip())
PYTHON
start feed sh -c "exec python3 '$tmp/feed.py' $old_port '$tmp/in2' >'$tmp/out2'"
exec 3>"$tmp/in" 4>"$tmp/in2"
cat "$tmp/part1" >&3
cat "$tmp/part1" >&4
two_open() { [ "$(grep -c 'stream .*: opened' "$tmp/first.log")" = 2 ]; }
wait_for "both streams" two_open

kill -TERM "$(pid_of first)"
wait_for "the relay to drain" has_line "$tmp/first.log" "shutting down"
closed_to_new() { ! port_is_open "$port"; }
wait_for "the port to be closed" closed_to_new
start_relay second --listen "127.0.0.1:$port" 3>&- 4>&-
agent_is_back() { [ "$(grep -c 'agent pi: session opened' "$tmp/second.log")" = 2 ]; }
wait_for "both of the agent's links at the second relay" agent_is_back
wait_for "the client at the second relay" has_line "$tmp/second.log" "client of pi: session opened"
! is_dead first || fail "the first relay has ended before its streams"

# New streams: through the local port, and by a new client.
expect "a new local connection" hello "$(python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(20)
print(s.makefile().readline().strip())' "$new_port")"
expect "a new client" hello "$(connect pi 127.0.0.1 "$greet_port" </dev/null)"
! is_dead first || fail "the first relay has ended before its streams"

# The old ones, to the end.
cat "$tmp/part2" >&3
cat "$tmp/part2" >&4
exec 3>&- 4>&-
wait_for "the end of standard input and output" is_dead stdio
stop stdio 0
expect "its exit status" 0 "$code"
wait_for "the end of the local connection" is_dead feed
expect "what went by standard input" "$(sum_of "$tmp/whole") 8000000" "$(cat "$tmp/out")"
expect "what went by the local port" "$(sum_of "$tmp/whole") 8000000" "$(cat "$tmp/out2")"
wait_for "the first relay's end" is_dead first
stop first 0
expect "exit status of the first relay" 0 "$code"

# Once more, and this time the agent is to end meanwhile: it waits for the stream on the old session.
mkfifo "$tmp/in3"
start stdio sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' pi 127.0.0.1 $hash_port <'$tmp/in3' >'$tmp/out3'"
exec 3>"$tmp/in3"
cat "$tmp/part1" >&3
wait_for "the stream" has_line "$tmp/second.log" "stream .*:$hash_port: opened"
kill -TERM "$(pid_of second)"
wait_for "the second relay to drain" has_line "$tmp/second.log" "shutting down"
wait_for "the port to be closed" closed_to_new
start_relay third --listen "127.0.0.1:$port" 3>&-
agent_is_at_third() { [ "$(grep -c 'agent pi: session opened' "$tmp/third.log")" = 2 ]; }
wait_for "the agent at the third relay" agent_is_at_third
kill -TERM "$(pid_of pi)"
wait_for "the agent to say goodbye" has_line "$tmp/third.log" "agent pi: session .*closed"
cat "$tmp/part2" >&3
exec 3>&-
wait_for "the client" is_dead stdio
expect "what went by standard input" "$(sum_of "$tmp/whole") 8000000" "$(cat "$tmp/out3")"
wait_for "the agent's end" is_dead pi
stop pi 0
expect "exit status of the agent" 0 "$code"
