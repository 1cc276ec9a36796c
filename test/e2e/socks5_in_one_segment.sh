#!/bin/sh
# SPDX-License-Identifier: ISC
# A SOCKS client that does not wait: greeting, request, its bytes and its end in one segment. All of it arrives, the end too.
. "$(dirname "$0")/lib.sh"

start_relay relay
start_tcp hash hash
start_agent pi
start_connect socks -D 0=pi
port=$(json "$tmp/socks.ready" 'd["socks"][0]["port"]')

cat >"$tmp/peer.py" <<'PY'
import hashlib, socket, struct, sys
proxy, target, n = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
payload = b"x" * n
s = socket.create_connection(("127.0.0.1", proxy), 20)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
s.sendall(b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + struct.pack("!H", target) + payload)
s.shutdown(socket.SHUT_WR)
got = b""
while True:
    b = s.recv(65536)
    if not b:
        break
    got += b
want = b"\5\0" + b"\5\0\0\1\0\0\0\0\0\0" + ("%s %d\n" % (hashlib.sha256(payload).hexdigest(), n)).encode()
sys.exit(0 if got == want else "got %r" % got)
PY
for n in 0 1 1000 60000; do
	timeout 20 python3 "$tmp/peer.py" "$port" "$tcp_port" "$n" || fail "$n bytes"
done
