#!/bin/sh
# SPDX-License-Identifier: ISC
# An agent dials loopback and its services unless --allow says otherwise; a name that resolves elsewhere is judged by its address.
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
greet=$tcp_port
start_relay relay
start_agent pi
answer() {
	exit_code connect pi "$@" </dev/null
}
answer 127.0.0.1 "$greet"
expect "loopback" hello "$(cat "$tmp/out")"
answer localhost "$greet"
expect "localhost" hello "$(cat "$tmp/out")"
own=$(hostname -I 2>/dev/null | cut -d' ' -f1)
for host in 192.0.2.1 10.0.0.1 169.254.169.254 0.0.0.0 :: ::ffff:10.0.0.1 2001:db8::1 ${own:+"$own"}; do
	answer "$host" "$greet"
	expect "exit status for $host" 3 "$code"
	expect "output for $host" "" "$(cat "$tmp/out")"
	has_line "$tmp/err.log" "denied" || fail "$host: $(cat "$tmp/err.log")"
done
answer ::ffff:127.0.0.1 "$greet"
expect "a mapped loopback address is loopback" hello "$(cat "$tmp/out")"
stop pi

start_agent pi --allow "127.0.0.1:$greet" --tcp "away=192.0.2.1:80"
answer 127.0.0.1 "$greet"
expect "what is allowed" hello "$(cat "$tmp/out")"
answer 127.0.0.1 22
expect "exit status for another port" 3 "$code"
answer 127.0.0.2 "$greet"
expect "exit status for another loopback address" 3 "$code"
