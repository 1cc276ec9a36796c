#!/bin/sh
# SPDX-License-Identifier: ISC
# A second agent under a living name replaces the first, who is told and leaves; with --on-duplicate refuse it is refused.
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
has_line "$tmp/old.log" "another agent has logged in under this name; give each agent a --name of its own" || fail "the old one was not told why"
has_line "$tmp/relay.log" "agent pi: replaced stale session from .*last heard [0-9.]* s ago" || fail "the relay does not say it"
expect "the second" two "$(connect pi who </dev/null)"
stop new
stop relay

start_relay relay2 --on-duplicate refuse
start_agent first --name pi --tcp "who=127.0.0.1:$one"
start late "$TUNNEL_BIN" agent --relay "$relay_url" --name pi --secret-file "$tmp/agent.secret" --tcp "who=127.0.0.1:$two"
wait_for "the late one to be refused" has_line "$tmp/late.log" "another agent is connected under this name"
expect "the first stays" one "$(connect pi who </dev/null)"
