#!/bin/sh
# SPDX-License-Identifier: ISC
# A second signal ends a draining relay, agent and client at once.
. "$(dirname "$0")/lib.sh"

start_tcp stall stall
start_relay relay --drain 1h
start_agent pi --drain 1h
start_connect forward -L "0=pi:127.0.0.1:$tcp_port"
port=$(json "$tmp/forward.ready" 'd["local"][0]["port"]')
mkfifo "$tmp/in"
start user sh -c "exec socat - TCP:127.0.0.1:$port <'$tmp/in'"
exec 3>"$tmp/in"
echo data >&3
wait_for "the stream" has_line "$tmp/relay.log" "stream .*: opened"
for name in pi relay; do
	kill -TERM "$(pid_of $name)"
	wait_for "$name to drain" has_line "$tmp/$name.log" "shutting down"
	began=$(date +%s)
	stop $name INT
	[ $(($(date +%s) - began)) -le 4 ] || fail "$name did not end at once"
done
