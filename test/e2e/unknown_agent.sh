#!/bin/sh
# SPDX-License-Identifier: ISC
# What cannot be reached is told in words, with exit status 1: no such agent, no such service, nobody listens there, no relay.
. "$(dirname "$0")/lib.sh"

start_relay relay
start_agent pi --tcp "ssh=127.0.0.1:9"
told() {
	want=$1 text=$2
	shift 2
	exit_code connect "$@"
	expect "exit status of: $*" "$want" "$code"
	expect "output of: $*" "" "$(cat "$tmp/out")"
	has_line "$tmp/err.log" "$text" || fail "$*: $(cat "$tmp/err.log")"
}
told 1 "agent lab is not connected" lab ssh
told 1 "no such service" pi nosuch
told 1 "refused" pi ssh
told 1 "refused" pi 127.0.0.1 9
told 2 "not an agent's name" "$(printf 'p\ti')" ssh
port=$(free_port)
relay_url=ws://127.0.0.1:$port
told 1 "127.0.0.1.*$port" pi ssh
relay_url=ws://nosuchhost.invalid
told 1 "nosuchhost.invalid" pi ssh
relay_url=http://127.0.0.1
told 2 "ws" pi ssh
