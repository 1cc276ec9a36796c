#!/bin/sh
# SPDX-License-Identifier: ISC
# --max-clients: one client more is refused and told why, agents are not counted, and the place is free again when a client has gone.
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
start_relay relay --max-clients 1
start_agent pi
start_agent lab
start_connect first -L "0=pi:127.0.0.1:$tcp_port"
wait_for "the first client" has_line "$tmp/relay.log" "client of pi: session opened"
exit_code connect pi 127.0.0.1 "$tcp_port"
expect "exit status of a client too many" 1 "$code"
has_line "$tmp/err.log" "no room for another client" || fail "it is not told why: $(cat "$tmp/err.log")"
wait_for "the relay's log" has_line "$tmp/relay.log" "too many clients (--max-clients)"

# One with local ports waits for its turn.
start second "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/client.secret" -L "0=pi:127.0.0.1:$tcp_port"
wait_for "the second client to be refused" has_line "$tmp/second.log" "no room for another client"
! is_dead second || fail "it has given up"
stop second
stop first
wait_for "the first client's end" has_line "$tmp/relay.log" "client of pi: session from .* closed"
expect "another client" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"
