#!/bin/sh
# SPDX-License-Identifier: ISC
# SIGTERM: no new connections, streams finish within --drain, exit status 0; then the end of --drain cuts them off.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_tcp hash hash
start_relay relay --drain 20s
start_agent pi
mkfifo "$tmp/in"
start client sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' pi 127.0.0.1 $tcp_port <'$tmp/in' >'$tmp/out'"
exec 3>"$tmp/in"
echo first >&3
wait_for "the stream" has_line "$tmp/relay.log" "stream .*: opened"
kill -TERM "$(pid_of relay)"
wait_for "the relay to drain" has_line "$tmp/relay.log" "shutting down"
closed_to_new() { ! port_is_open "$relay_port"; }
wait_for "the port to be closed" closed_to_new
echo second >&3
exec 3>&-
wait_for "the client" is_dead client
stop client 0
expect "exit status of the client" 0 "$code"
printf 'first\nsecond\n' >"$tmp/want"
expect "what the service got" "$(sum_of "$tmp/want") 13" "$(cat "$tmp/out")"
wait_for "the relay's end" is_dead relay
stop relay 0
expect "exit status of the relay" 0 "$code"
stop pi
expect "exit status of the agent" 0 "$code"

# A stream that does not finish is cut off when the time is over.
start_tcp stall stall
start_relay short --drain 1s
start_agent pi
mkfifo "$tmp/in2"
start stuck sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' pi 127.0.0.1 $tcp_port <'$tmp/in2'"
exec 4>"$tmp/in2"
wait_for "the stream" has_line "$tmp/short.log" "stream .*: opened"
began=$(date +%s)
stop short
expect "exit status of the relay after --drain" 0 "$code"
[ $(($(date +%s) - began)) -le 8 ] || fail "--drain 1s took $(($(date +%s) - began)) s"
