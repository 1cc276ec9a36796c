# SPDX-License-Identifier: ISC
"""A client that opens streams and gives them up at once: open_flood.py PORT CLIENT_SECRET STREAMS SERVICE

Prints how many were opened, when the relay has answered a ping behind the last.
"""
import json
import socket
import struct
import sys

HELLO, OPEN, RESET, PING, PONG = 1, 2, 7, 11, 12
CANCELLED = 5
port, secret, n, service = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
s = socket.create_connection(("127.0.0.1", port))
s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
f = s.makefile("rb")
while f.readline() != b"\r\n":
    pass


def put(frames):
    head = struct.pack(">BBH", 0x82, 0x80 | 126, len(frames)) if len(frames) >= 126 else bytes([0x82, 0x80 | len(frames)])
    s.sendall(head + bytes(4) + frames)


def frame(kind, stream, body):
    return struct.pack(">BBHI", kind, 0, len(body), stream) + body


plain = b""


def need(size):
    global plain
    while len(plain) < size:
        head = f.read(2)
        n = head[1]
        if n >= 126:
            n = int.from_bytes(f.read(2 if n == 126 else 8), "big")
        plain += f.read(n)


def get():
    global plain
    need(8)
    kind, _, size, _ = struct.unpack(">BBHI", plain[:8])
    need(8 + size)
    plain = plain[8 + size:]
    return kind


put(frame(HELLO, 0, json.dumps({"version": 1, "role": "connect", "name": "lab", "secret": secret, "instance": "0" * 32}).encode()))
while get() != HELLO:
    pass
for i in range(n):
    stream = 2 * i + 1
    body = json.dumps({"token": "%032x" % stream, "protocol": "tcp", "service": service}).encode()
    put(frame(OPEN, stream, body) + frame(RESET, stream, struct.pack(">I", CANCELLED)))
    if i % 100 == 99 or i == n - 1:
        put(frame(PING, 0, bytes(8)))
        while get() != PONG:
            pass
print(n)
