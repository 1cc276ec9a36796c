#!/bin/sh
# SPDX-License-Identifier: ISC
# What PROTOCOL.md shows is what is spoken: its example is played byte by byte by a client of a few lines, and the relay's HELLO has what
# the page demands of it.
. "$(dirname "$0")/lib.sh"

start_tcp echo echo
start_relay relay
start_agent pi --tcp ssh="$tcp_port"
python3 - "$relay_port" "$here/../../proto/PROTOCOL.md" <<'PY'
import json, re, socket, struct, sys

def message(b):
    n = len(b)
    length = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n)
    return b"\x82" + length + b"\0\0\0\0" + b

class Client:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), 20)
        self.s.sendall(b"GET / HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                       b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        self.raw = self.stream = b""
        while b"\r\n\r\n" not in self.raw:
            self.more()
        head, self.raw = self.raw.split(b"\r\n\r\n", 1)
        assert b" 101 " in head and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head

    def more(self):
        got = self.s.recv(65536)
        assert got, "the relay has closed"
        self.raw += got

    def need(self, n):
        while len(self.raw) < n:
            self.more()

    def frame(self):
        while True:
            if len(self.stream) >= 8:
                n = 8 + struct.unpack(">H", self.stream[2:4])[0]
                if len(self.stream) >= n:
                    f, self.stream = self.stream[:n], self.stream[n:]
                    if f[0] != 11:
                        return f
                    self.s.sendall(message(b"\x0c" + f[1:]))  # PONG
                    continue
            self.need(2)
            at = {126: 4, 127: 10}.get(self.raw[1], 2)
            self.need(at)
            n = int.from_bytes(self.raw[2:at], "big") if at > 2 else self.raw[1]
            self.need(at + n)
            assert self.raw[0] == 0x82, self.raw[:2]
            self.stream, self.raw = self.stream + self.raw[at:at + n], self.raw[at + n:]

    def greet(self):
        hello = json.dumps({"version": 1, "role": "connect", "name": "pi", "secret": "client-secret-of-this-test",
                            "instance": "000102030405060708090a0b0c0d0e0f"}).encode()
        self.s.sendall(message(struct.pack(">BBHI", 1, 0, len(hello), 0) + hello))
        f = self.frame()
        assert f[0] == 1, f
        return json.loads(f[8:])

port, page = int(sys.argv[1]), open(sys.argv[2]).read()
a = Client(port)
hello = a.greet()
assert hello["version"] == 1 and hello["role"] == "relay" and "name" not in hello and "secret" not in hello, hello
assert re.fullmatch("[0-9a-f]{32}", hello["instance"]) and hello["instance"] != "0" * 32, hello
assert Client(port).greet()["instance"] == hello["instance"], "one process has one instance"

shown = re.findall(r"^    ([><]) ((?:[0-9a-f]{2} ){8}) ((?:[0-9a-f]{2} {1,2})+|\{.*?\} )", page + " ", re.M)
assert len(shown) == 5, shown
frames = [(side, bytes.fromhex(header) + (body.strip().encode() if body[0] == "{" else bytes.fromhex(body)))
          for side, header, body in shown]
a.s.sendall(message(b"".join(f for side, f in frames if side == ">")))
for want in (f for side, f in frames if side == "<"):
    got = a.frame()
    assert got == want, "the page has %s, the relay says %s" % (want.hex(" "), got.hex(" "))
PY
