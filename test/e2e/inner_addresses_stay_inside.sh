#!/bin/sh
# SPDX-License-Identifier: ISC
# OPEN_OK tells what a named host became, and nothing of where a declared service is.
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
start_relay relay
start_agent pi --tcp "web=localhost:$tcp_port" --allow 'localhost:*'

# open_ok MEMBERS - the "target" of the answer to an OPEN with these members (PROTOCOL.md 4).
open_ok() {
	python3 - "$relay_port" "$1" <<'PYTHON'
import base64, json, os, socket, struct, sys

def frame(kind, stream, body):
    return struct.pack(">BBHI", kind, 0, len(body), stream) + body

def message(b):
    n = len(b)
    head = bytes([0x82, 0x80 | n]) if n < 126 else struct.pack(">BBH", 0x82, 0x80 | 126, n)
    return head + bytes(4) + b  # masked with zeros

def text(o):
    return json.dumps(o).encode()

s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(20)
f = s.makefile("rb")
s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n")
while f.readline().strip():
    pass
s.sendall(message(frame(1, 0, text({"version": 1, "role": "connect", "name": "pi", "instance": "0" * 32,
                                    "secret": "client-secret-of-this-test"})) +
                  frame(2, 1, text({"token": "0" * 32, "protocol": "tcp", **json.loads(sys.argv[2])}))))
data = b""
while True:
    while len(data) >= 8:
        kind, _, n, _ = struct.unpack(">BBHI", data[:8])
        if len(data) < 8 + n:
            break
        body, data = data[8:8 + n], data[8 + n:]
        assert kind != 7, body  # RESET
        if kind == 3:
            print(json.loads(body).get("target", "nothing"))
            raise SystemExit
    _, n = f.read(2)
    n = struct.unpack(">H", f.read(2))[0] if n == 126 else n
    data += f.read(n)
PYTHON
}
expect "what is told of a service" nothing "$(open_ok '{"service": "web"}')"
expect "what is told of a host" "127.0.0.1:$tcp_port" "$(open_ok "{\"host\": \"localhost\", \"port\": $tcp_port}")"
