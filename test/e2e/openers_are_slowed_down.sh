#!/bin/sh
# SPDX-License-Identifier: ISC
# --identity-opens: whoever opens streams faster is refused none of them, but waits, whatever the number of its sessions; others do not.
. "$(dirname "$0")/lib.sh"

secrets
printf 'secret-of-alice' >"$tmp/alice.secret"
chmod 600 "$tmp/alice.secret"
cat >"$tmp/creds.json" <<JSON
{"edge-agents": {"pi": "agent-secret-of-this-test"}, "access-client-secrets": ["client-secret-of-this-test"],
 "clients": {"alice": {"secret": "secret-of-alice", "agents": ["pi"], "targets": ["*:*"], "max-opens": 1000000}}}
JSON
start_tcp greet greet hello
start_relay relay --identity-opens 20
start_agent pi
start_connect one -L "0=pi:127.0.0.1:$tcp_port"
one=$(json "$tmp/one.ready" 'd["local"][0]["port"]')
start_connect two -L "0=pi:127.0.0.1:$tcp_port"
two=$(json "$tmp/two.ready" 'd["local"][0]["port"]')
start alice "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/alice.secret" --ready-file "$tmp/alice.ready" \
	-L "0=pi:127.0.0.1:$tcp_port"
started_file alice "$tmp/alice.ready"
alice=$(json "$tmp/alice.ready" 'd["local"][0]["port"]')
# The first half second's worth is free: 50 of the two together, one after the other, are at least (50 - 10) / 20 s, less what was on its way.
python3 - "$one" "$two" "$alice" <<'PYTHON'
import socket, sys, threading, time

def visit(port):
    with socket.create_connection(("127.0.0.1", int(port)), 60) as s:
        if s.recv(100).strip() != b"hello":
            sys.exit("a connection was refused")

began = time.monotonic()
worst, done = 0, threading.Event()
def other():
    global worst
    while not done.is_set():
        t = time.monotonic()
        visit(sys.argv[3])
        worst = max(worst, time.monotonic() - t)
beside = threading.Thread(target=other)
beside.start()
for i in range(25):
    visit(sys.argv[1])
    visit(sys.argv[2])
took = time.monotonic() - began
done.set()
beside.join()
print("50 connections took %.2f s, the slowest of another identity %.3f s" % (took, worst))
if took < 1.8:
    sys.exit("they were not slowed down")
if worst > 1:
    sys.exit("the other identity was slowed down, too")
PYTHON
! has_line "$tmp/relay.log" "refused: " || fail "the relay has refused some"
