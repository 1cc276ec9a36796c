#!/bin/sh
# SPDX-License-Identifier: ISC
# A client that opens streams without end gets half of what its agent can take, however many sessions it has; others are
# served.
. "$(dirname "$0")/lib.sh"

secrets
printf 'secret-of-alice' >"$tmp/alice.secret"
chmod 600 "$tmp/alice.secret"
cat >"$tmp/creds.json" <<JSON
{"edge-agents": {"pi": "agent-secret-of-this-test"}, "access-client-secrets": ["client-secret-of-this-test"],
 "clients": {"alice": {"secret": "secret-of-alice", "agents": ["pi"], "targets": ["*:*"]}}}
JSON
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
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
	exit_code connect pi 127.0.0.1 "$tcp_port" </dev/null
	expect "exit status of session $i with the greedy client's secret" 1 "$code"
	has_line "$tmp/err.log" "this identity has its share of the agent's streams" || fail "it is not told why: $(cat "$tmp/err.log")"
done
expect "another client" hello "$("$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/alice.secret" \
	pi 127.0.0.1 "$tcp_port" </dev/null)"
has_line "$tmp/relay.log" "refused: this identity has its share of the agent's streams" || fail "the relay does not say why"
