#!/bin/sh
# SPDX-License-Identifier: ISC
# An agent outlives its relay: killed or ended, when it is back on its port the agent is back within seconds.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
start_relay relay
start_agent pi
same="127.0.0.1:$relay_port"
greeting() { connect pi 127.0.0.1 "$tcp_port" </dev/null 2>/dev/null; }
greets() { [ "$(greeting)" = hello ]; }
expect "before" hello "$(greeting)"
for signal in KILL TERM; do
	stop relay $signal
	wait_for "the agent to notice" has_line "$tmp/pi.log" "next attempt in"
	exit_code connect pi 127.0.0.1 "$tcp_port"
	expect "exit status without a relay" 1 "$code"
	start_relay relay --listen "$same"
	wait_for "the agent to be back after $signal" greets
	: >"$tmp/pi.log"
done
stop pi
expect "exit status of the agent" 0 "$code"
