#!/bin/sh
# SPDX-License-Identifier: ISC
# A client that opens streams without end gets half of what its agent can take; others are served, and the log stays short.
. "$(dirname "$0")/lib.sh"

start_relay relay --max-streams 16
start_agent pi
start_tcp hold hold
start_connect greedy -L "0=pi:127.0.0.1:$tcp_port"
start greed python3 -c '
import socket, sys, time
at = ("127.0.0.1", int(sys.argv[1]))
held, refused = [], 0
while refused < 60:
    s = socket.create_connection(at)
    s.settimeout(20)
    try:
        if s.recv(100):
            held.append(s)
            continue
    except ConnectionResetError:
        pass
    refused += 1
open(sys.argv[2] + "/held.new", "w").write("%d" % len(held))
import os
os.rename(sys.argv[2] + "/held.new", sys.argv[2] + "/held")
while True:
    time.sleep(1)
' "$(json "$tmp/greedy.ready" 'd["local"][0]["port"]')" "$tmp"
started_file greed "$tmp/held"
expect "streams of the greedy client" 8 "$(cat "$tmp/held")"
start_tcp greet greet hello
expect "another client" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"
has_line "$tmp/relay.log" "refused: this client has its share of the agent's streams" || fail "the relay does not say why"
n=$(grep -c 'refused: ' "$tmp/relay.log")
[ "$n" -lt 30 ] || fail "$n lines about refused streams"
