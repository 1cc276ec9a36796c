#!/bin/sh
# SPDX-License-Identifier: ISC
# An agent that stands still without a closed connection is dead after three missed pings, and its name is free.
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
start_relay relay --keepalive 500ms --on-duplicate refuse
start_agent stuck --name pi --keepalive 500ms
kill -STOP "$(pid_of stuck)"
began=$(date +%s)
wait_for "the relay to notice" has_line "$tmp/relay.log" "agent pi: session from .* closed"
took=$(($(date +%s) - began))
[ "$took" -le 4 ] || fail "noticed after $took s"
exit_code connect pi 127.0.0.1 "$tcp_port"
has_line "$tmp/err.log" "agent pi is not connected" || fail "$(cat "$tmp/err.log")"
start_agent fresh --name pi --keepalive 500ms
expect "the name is free" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"

# The other way round: an agent notices that its relay stands still.
kill -STOP "$(pid_of relay)"
wait_for "the agent to notice" has_line "$tmp/fresh.log" "next attempt in"
