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
import json, struct, sys
from ws_client import frame, hello, mux, upgraded

s = upgraded(int(sys.argv[1]))
f = s.makefile("rb")
s.sendall(frame(mux(1, hello("connect", "pi", "client-secret-of-this-test")) +
                mux(2, json.dumps({"token": "0" * 32, "protocol": "tcp", **json.loads(sys.argv[2])}).encode(), 1)))
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
