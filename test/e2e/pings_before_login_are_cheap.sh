#!/bin/sh
# SPDX-License-Identifier: ISC
# Whoever has not logged in and sends WebSocket pings without end gets an answer to few of them, and to the last; streams on the same worker
# go on beside it.
. "$(dirname "$0")/lib.sh"

start_relay relay --threads 1 --handshake-timeout 60s
start_agent pi
start_tcp echo echo
cat >"$tmp/pings.py" <<'PYTHON'
import json, socket, struct, sys, threading, time
import ws_client

N, BATCH = 200000, 2000
# A stream of a client, to see whether it goes on.
side = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
side.settimeout(30)
s = ws_client.upgraded(int(sys.argv[1]))
pongs, last, done = 0, -1, threading.Event()


def read():
    global pongs, last
    f = s.makefile("rb")
    while last != N - 1:
        head = f.read(2)
        if head != b"\x8a\x04":
            break
        pongs, last = pongs + 1, struct.unpack(">I", f.read(4))[0]
    done.set()


threading.Thread(target=read, daemon=True).start()
worst = 0
for i in range(0, N, BATCH):
    s.sendall(b"".join(ws_client.frame(struct.pack(">I", j), 9) for j in range(i, i + BATCH)))
    if i % (10 * BATCH) == 0:
        t = time.monotonic()
        side.sendall(b"key")
        if side.recv(3, socket.MSG_WAITALL) != b"key":
            sys.exit("the stream beside is broken")
        worst = max(worst, time.monotonic() - t)
done.wait(30)
print("%d pings, %d pongs, the last of them for ping %d; a round trip beside took %.3f s at most" % (N, pongs, last, worst))
if last != N - 1:
    sys.exit("the last ping got no answer")
if pongs > N / 10:
    sys.exit("too many were answered")
PYTHON
start_connect forward -L "0=pi:127.0.0.1:$tcp_port"
start pings python3 "$tmp/pings.py" "$relay_port" "$(json "$tmp/forward.ready" 'd["local"][0]["port"]')"
wait_for "the end of the pings" is_dead pings
wait "$(pid_of pings)" || fail "$(cat "$tmp/pings.log")"
cat "$tmp/pings.log"
