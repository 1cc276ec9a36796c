# SPDX-License-Identifier: ISC
"""What tests need that speak to a relay byte by byte: a WebSocket by hand, and frames of the mux in it."""
import base64
import json
import os
import socket
import ssl
import struct


def upgraded(port, cert="", path="/"):
    """A connection to the relay on this port, with TLS if there is a certificate to trust, and a WebSocket on it."""
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    if cert:
        s = ssl.create_default_context(cafile=cert).wrap_socket(s, server_hostname="localhost")
    s.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
              b"Sec-WebSocket-Key: %s\r\n\r\n" % (path.encode(), base64.b64encode(os.urandom(16))))
    head = b""
    while b"\r\n\r\n" not in head:
        head += s.recv(1)
    assert head.startswith(b"HTTP/1.1 101"), head
    return s


def frame(payload, opcode=2, mask=True, length=None):
    """One WebSocket frame; length: what it claims to hold, if that is a lie."""
    n = len(payload) if length is None else length
    bit = 0x80 if mask else 0
    if n < 126:
        head = bytes([0x80 | opcode, bit | n])
    elif n < 65536:
        head = bytes([0x80 | opcode, bit | 126]) + struct.pack(">H", n)
    else:
        head = bytes([0x80 | opcode, bit | 127]) + struct.pack(">Q", n)
    return head + (bytes(4) if mask else b"") + payload


def mux(kind, body, stream=0, flags=0):
    """One frame of the mux."""
    return struct.pack(">BBHI", kind, flags, len(body), stream) + body


def hello(role, name, secret):
    """The body of a HELLO."""
    return json.dumps({"version": 1, "role": role, "name": name, "secret": secret, "instance": "00" * 16}).encode()
