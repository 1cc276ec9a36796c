# SPDX-License-Identifier: ISC
"""ws_conformance - every rule of RFC 6455 section 5 to 7, asked of ws_echo over real sockets.

usage: ws_conformance.py WS_ECHO

Three parts: raw frames (good and bad, whole and byte by byte) against the server; raw frames against the client; and
python3-websockets, an implementation by others, against both, over TLS too.  Prints a line for each failure; the last line counts.
"""
import asyncio
import base64
import hashlib
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile

TIMEOUT = 20
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = b"\x01\x02\x03\x04"
CONT, TEXT, BIN, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

passed = failed = 0


def check(name, ok, detail=""):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}: {detail}")


def frame(op, payload=b"", fin=True, rsv=0, mask=True, length=None, bits=None):
    """One frame. length: what the header says; bits: force 7, 16 or 64 bits of length."""
    n = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | op])
    m = 0x80 if mask else 0
    bits = bits or (7 if n < 126 else 16 if n < 65536 else 64)
    if bits == 7:
        head += bytes([m | n])
    elif bits == 16:
        head += bytes([m | 126]) + struct.pack(">H", n)
    else:
        head += bytes([m | 127]) + struct.pack(">Q", n)
    if mask:
        head += KEY
        payload = bytes(b ^ KEY[i % 4] for i, b in enumerate(payload))
    return head + payload


def close_frame(code, reason=b"", **kw):
    return frame(CLOSE, struct.pack(">H", code) + reason, **kw)


class Raw:
    """The other end of a WebSocket, frame by frame."""

    def __init__(self, sock, rest=b""):
        self.sock = sock
        self.buf = rest
        self.masked = None

    def exactly(self, n):
        while len(self.buf) < n:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError
            self.buf += more
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def frame(self):
        a, b = self.exactly(2)
        self.masked = bool(b & 0x80)
        n = b & 0x7F
        if n == 126:
            n = struct.unpack(">H", self.exactly(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.exactly(8))[0]
        key = self.exactly(4) if self.masked else b"\0\0\0\0"
        data = self.exactly(n)
        if self.masked:
            data = bytes(c ^ key[i % 4] for i, c in enumerate(data))
        return a & 0x80 != 0, a & 0x0F, data

    def frames(self):
        """Everything until the end of the stream."""
        out = []
        try:
            while True:
                out.append(self.frame())
        except (EOFError, ConnectionResetError):
            return out


def dial(port):
    s = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    s.settimeout(TIMEOUT)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def head_of(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        if not more:
            break
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def upgrade(port):
    s = dial(port)
    key = base64.b64encode(os.urandom(16))
    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
    head, rest = head_of(s)
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    assert head.startswith(b"HTTP/1.1 101 ") and accept in head, head
    return Raw(s, rest)


BYE = close_frame(1000)
K = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()

# name, bytes, echoed data and pong frames, code of the Close that ends it (None: an empty Close)
CASES = [
    ("empty text", frame(TEXT) + BYE, [(TEXT, b"")], 1000),
    ("empty binary", frame(BIN) + BYE, [(BIN, b"")], 1000),
    *((f"text of {n}", frame(TEXT, b"*" * n) + BYE, [(TEXT, b"*" * n)], 1000)
      for n in (1, 125, 126, 127, 128, 65535, 65536, 65537)),
    *((f"binary of {n}", frame(BIN, b"\xfe" * n) + BYE, [(BIN, b"\xfe" * n)], 1000)
      for n in (1, 125, 126, 127, 128, 65535, 65536, 65537)),
    ("ping", frame(PING) + BYE, [(PONG, b"")], 1000),
    ("ping with text", frame(PING, b"Hello") + BYE, [(PONG, b"Hello")], 1000),
    ("ping with binary", frame(PING, b"\x00\xff\xfe") + BYE, [(PONG, b"\x00\xff\xfe")], 1000),
    ("ping of 125", frame(PING, b"\xfe" * 125) + BYE, [(PONG, b"\xfe" * 125)], 1000),
    ("ping of 126", frame(PING, b"\xfe" * 126), [], 1002),
    ("ten pings", b"".join(frame(PING, b"%d" % i) for i in range(10)) + BYE,
     [(PONG, b"%d" % i) for i in range(10)], 1000),
    ("unasked pong", frame(PONG) + frame(PONG, b"x") + frame(TEXT, b"a") + BYE, [(TEXT, b"a")], 1000),
    *((f"reserved bits {r}", frame(TEXT, b"x", rsv=r), [], 1002) for r in range(1, 8)),
    ("reserved bit after a message", frame(TEXT, b"a") + frame(TEXT, b"b", rsv=4), [(TEXT, b"a")], 1002),
    ("reserved bit in a close", frame(CLOSE, rsv=7), [], 1002),
    *((f"opcode {o}", frame(o, b"x"), [], 1002) for o in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ("fragmented ping", frame(PING, b"a", fin=False) + frame(CONT, b"b"), [], 1002),
    ("fragmented pong", frame(PONG, b"a", fin=False) + frame(CONT, b"b"), [], 1002),
    ("two fragments", frame(TEXT, b"a", fin=False) + frame(CONT, b"b") + BYE, [(TEXT, b"ab")], 1000),
    ("empty fragments", frame(TEXT, fin=False) + frame(CONT, fin=False) + frame(CONT) + BYE, [(TEXT, b"")], 1000),
    ("ping between fragments",
     frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONT, b"b") + BYE, [(PONG, b"p"), (TEXT, b"ab")], 1000),
    ("three fragments and two pings",
     frame(BIN, b"a" * 300, fin=False) + frame(PING, b"p") + frame(CONT, b"b" * 70000, fin=False) + frame(PING) +
     frame(CONT, b"c") + BYE, [(PONG, b"p"), (PONG, b""), (BIN, b"a" * 300 + b"b" * 70000 + b"c")], 1000),
    ("pong between fragments", frame(BIN, b"a", fin=False) + frame(PONG, b"p") + frame(CONT, b"b") + BYE,
     [(BIN, b"ab")], 1000),
    ("close between fragments", frame(BIN, b"a", fin=False) + close_frame(1001) + frame(CONT, b"b"), [], 1001),
    ("reserved bit in a continuation", frame(BIN, b"a", fin=False) + frame(CONT, b"b", rsv=1), [], 1002),
    ("opcode 3 between fragments", frame(BIN, b"a", fin=False) + frame(3, b"b") + frame(CONT), [], 1002),
    ("unmasked continuation", frame(BIN, b"a", fin=False) + frame(CONT, b"b", mask=False), [], 1002),
    ("a message after fragments", frame(TEXT, b"a", fin=False) + frame(CONT) + frame(BIN, b"b") + BYE,
     [(TEXT, b"a"), (BIN, b"b")], 1000),
    ("pong of 126", frame(PONG, b"x" * 126), [], 1002),
    ("ping of 5 in 16 bits", frame(PING, b"abcde", bits=16), [], 1002),
    ("ping of 5 in 64 bits", frame(PING, b"abcde", bits=64), [], 1002),
    ("ping of 65536, none of it sent", frame(PING, length=65536, bits=64), [], 1002),
    ("empty frames with the key of zeros", b"\x82\x80\0\0\0\0" * 3 + BYE, [(BIN, b"")] * 3, 1000),
    ("the key of zeros", b"\x81\x85\0\0\0\0Hello" + BYE, [(TEXT, b"Hello")], 1000),
    ("continuation alone", frame(CONT, b"x"), [], 1002),
    ("unfinished continuation alone", frame(CONT, b"x", fin=False) + frame(TEXT, b"y"), [], 1002),
    ("continuation after a message", frame(TEXT, b"a") + frame(CONT, b"b"), [(TEXT, b"a")], 1002),
    ("text inside a message", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), [], 1002),
    ("binary inside a message", frame(TEXT, b"a", fin=False) + frame(BIN, b"b"), [], 1002),
    ("unmasked text", frame(TEXT, b"a", mask=False), [], 1002),
    ("unmasked ping", frame(PING, b"a", mask=False), [], 1002),
    ("unmasked close", close_frame(1000, mask=False), [], 1002),
    ("16 bits for 5", frame(BIN, b"abcde", bits=16), [], 1002),
    ("64 bits for 5", frame(BIN, b"abcde", bits=64), [], 1002),
    ("64 bits for 126", frame(BIN, b"a" * 126, bits=64), [], 1002),
    ("length with the top bit", frame(BIN, length=1 << 63, bits=64), [], 1002),
    ("longest length", frame(BIN, length=(1 << 63) - 1, bits=64), [], 1009),
    ("33 MiB", frame(BIN, length=33 << 20), [], 1009),
    ("33 MiB in two", frame(BIN, b"x", fin=False) + frame(CONT, length=33 << 20), [], 1009),
    ("UTF-8", frame(TEXT, K) + BYE, [(TEXT, K)], 1000),
    ("UTF-8 cut anywhere", b"".join(frame(TEXT if i == 0 else CONT, K[i:i + 1], fin=False)
                                    for i in range(len(K))) + frame(CONT) + BYE, [(TEXT, K)], 1000),
    ("highest character", frame(TEXT, b"\xf4\x8f\xbf\xbf") + BYE, [(TEXT, b"\xf4\x8f\xbf\xbf")], 1000),
    ("noncharacters", frame(TEXT, b"\xef\xbf\xbe\xef\xbf\xbf") + BYE, [(TEXT, b"\xef\xbf\xbe\xef\xbf\xbf")], 1000),
    *((f"no UTF-8: {b.hex()}", frame(TEXT, b), [], 1007) for b in (
        b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xf0\x80\x80\xaf",
        b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe",
        b"\xff", b"\xce", b"\xe2\x82", b"\xf0\x9f\x98", K + b"\xed\xa0\x80" + b"edited")),
    ("no UTF-8, told before the end", frame(TEXT, K + b"\xf4\x90", length=100), [], 1007),
    ("no UTF-8 in a second fragment", frame(TEXT, K, fin=False) + frame(CONT, b"\xff", fin=False), [], 1007),
    ("empty close", frame(CLOSE), [], None),
    ("close of one byte", frame(CLOSE, b"\x03"), [], 1002),
    ("close with reason", close_frame(1000, K), [], 1000),
    ("close with 123 bytes of reason", close_frame(1000, b"*" * 123), [], 1000),
    ("close with 124 bytes of reason", close_frame(1000, b"*" * 124), [], 1002),
    ("close with a reason that is no UTF-8", close_frame(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"), [], 1007),
    *((f"close {c}", close_frame(c), [], c) for c in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999,
                                                      4000, 4999)),
    *((f"close {c}", close_frame(c), [], 1002) for c in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
                                                         65535)),
    ("nothing counts behind a close", BYE + frame(TEXT, b"a") + frame(PING), [], 1000),
    ("a message unfinished at the close", frame(TEXT, b"a", fin=False) + BYE, [], 1000),
]


def expect(name, raw, echoed, code):
    got = raw.frames()
    ends = [f for f in got if f[1] == CLOSE]
    data = [(op, p) for fin, op, p in got if op != CLOSE and fin]
    check(name, data == echoed, f"got {[(o, p[:20]) for o, p in data]}")
    check(f"{name}: close", len(ends) == 1 and ends[0] == got[-1], f"{len(ends)} Close frames")
    if len(ends) == 1:
        payload = ends[0][2]
        sent = struct.unpack(">H", payload[:2])[0] if payload else None
        check(f"{name}: code", sent == code, f"{sent} and not {code}")


def raw_server_part(port):
    for name, data, echoed, code in CASES:
        for step in (len(data), 1):
            if step == 1 and len(data) > 1000:
                continue
            raw = upgrade(port)
            try:
                for i in range(0, len(data), step):
                    raw.sock.sendall(data[i:i + step])
            except OSError:
                pass  # it had heard enough
            expect(f"{name} (step {step})", raw, echoed, code)
            raw.sock.close()


REQUEST = (b"GET / HTTP/1.1", b"Host: x", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13",
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


def handshake_part(port):
    def ask(name, lines, status):
        s = dial(port)
        s.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        head, _ = head_of(s)
        first = head.split(b"\r\n")[0]
        check(f"handshake: {name}", first.startswith(b"HTTP/1.1 %d " % status if status else b""), first)
        s.close()
        return head

    def changed(i, line):
        return [line if j == i else x for j, x in enumerate(REQUEST) if j != i or line is not None]

    head = ask("RFC's own", REQUEST, 101)
    check("handshake: accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head)
    ask("POST", changed(0, b"POST / HTTP/1.1"), 400)
    ask("HTTP/1.0", changed(0, b"GET / HTTP/1.0"), 400)
    ask("no upgrade", changed(2, None), 400)
    ask("no connection", changed(3, None), 400)
    head = ask("version 8", changed(4, b"Sec-WebSocket-Version: 8"), 426)
    check("handshake: 426 names 13", b"Sec-WebSocket-Version: 13" in head, head)
    ask("short key", changed(5, b"Sec-WebSocket-Key: abc"), 400)
    ask("no key", changed(5, None), 400)
    # The first frames may come in one piece with the request.
    s = dial(port)
    s.sendall(b"\r\n".join(REQUEST) + b"\r\n\r\n" + frame(TEXT, b"early") + BYE)
    head, rest = head_of(s)
    expect("frames behind the request", Raw(s, rest), [(TEXT, b"early")], 1000)


def raw_client_part(ws_echo):
    """The client: what it sends is masked, and a server's mistakes end it."""
    cases = [("echo", frame(TEXT, K, mask=False) + frame(BIN, b"\0" * 70000, mask=False) + close_frame(1000, mask=False),
              [(TEXT, K), (BIN, b"\0" * 70000)], 1000),
             ("masked", frame(TEXT, b"a"), [], 1002),
             ("reserved bit", frame(TEXT, b"a", mask=False, rsv=1), [], 1002),
             ("no UTF-8", frame(TEXT, b"\xff", mask=False), [], 1007),
             ("ping", frame(PING, b"p" * 125, mask=False) + close_frame(1000, mask=False), [(PONG, b"p" * 125)], 1000),
             ("ping of 126", frame(PING, b"p" * 126, mask=False), [], 1002),
             ("fragmented close", frame(CLOSE, fin=False, mask=False), [], 1002),
             ("masked ping", frame(PING), [], 1002),
             ("opcode 11", frame(11, mask=False), [], 1002),
             ("fragments", frame(BIN, b"a", fin=False, mask=False) + frame(CONT, b"b", mask=False) +
              close_frame(1000, mask=False), [(BIN, b"ab")], 1000),
             ("continuation alone", frame(CONT, b"a", mask=False), [], 1002),
             ("64 bits for 126", frame(BIN, b"a" * 126, bits=64, mask=False), [], 1002),
             ("33 MiB", frame(BIN, length=33 << 20, mask=False), [], 1009),
             ("close 1005", close_frame(1005, mask=False), [], 1002)]
    for name, data, echoed, code in cases:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(TIMEOUT)
            p = subprocess.Popen([ws_echo, "--connect", f"ws://127.0.0.1:{server.getsockname()[1]}/x?y"],
                                 stderr=subprocess.PIPE)
            s, _ = server.accept()
            s.settimeout(TIMEOUT)
            head, rest = head_of(s)
            key = [x.split(b": ")[1] for x in head.split(b"\r\n") if x.lower().startswith(b"sec-websocket-key")][0]
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            check(f"client {name}: request", head.startswith(b"GET /x?y HTTP/1.1\r\n"), head)
            s.sendall(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept +
                      b"\r\n\r\n" + data)
            raw = Raw(s, rest)
            expect(f"client {name}", raw, echoed, code)
            check(f"client {name}: masks", raw.masked is True)
            s.close()
            p.stderr.read()
            check(f"client {name}: exit", p.wait(TIMEOUT) == (0 if code == 1000 else 1), p.returncode)


async def others_part(ws_echo, port):
    import websockets

    options = {"max_size": None, "ping_interval": None, "compression": None}
    sizes = [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20]

    async def exchange(name, ws):
        for n in sizes:
            data = os.urandom(n)
            await ws.send(data)
            check(f"{name}: binary of {n}", await ws.recv() == data)
        for text in ("", "a", "\u03ba\u1f79\u03c3\u03bc\u03b5" * 1000, "\U0001f600"):
            await ws.send(text)
            check(f"{name}: text of {len(text)}", await ws.recv() == text)
        await ws.send(["a", "\u00e9", "c"])
        check(f"{name}: fragments", await ws.recv() == "a\u00e9c")
        await asyncio.wait_for(await ws.ping(b"ping"), TIMEOUT)
        for i in range(1000):
            await ws.send(f"{i}")
        got = [await ws.recv() for _ in range(1000)]
        check(f"{name}: order of 1000 messages", got == [f"{i}" for i in range(1000)])

    async with websockets.connect(f"ws://127.0.0.1:{port}/", **options) as ws:
        await exchange("their client", ws)
        await ws.close(4321, "bye")
        check("their client: close", ws.close_code == 4321, ws.close_code)
    async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None) as ws:
        await ws.send("x")
        used = ws.extensions if hasattr(ws, "extensions") else ws.protocol.extensions  # before and since websockets 13
        check("their client: an extension offered is not used", await ws.recv() == "x" and not used)

    async def our_client(name, scheme, args, **more):
        done = asyncio.get_running_loop().create_future()

        async def serve(ws, path="/"):
            try:
                await exchange(name, ws)
                await ws.close(1001, "away")
                done.set_result(ws.close_code)
            except Exception as e:  # told below, where it counts
                done.set_result(e)

        async with websockets.serve(serve, "127.0.0.1", 0, **options, **more) as server:
            p = await asyncio.create_subprocess_exec(
                ws_echo, "--connect", f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/", *args, stderr=subprocess.PIPE)
            said = asyncio.ensure_future(p.stderr.read())
            await asyncio.wait_for(asyncio.wait([done, said], return_when=asyncio.FIRST_COMPLETED), 60)
            code = await asyncio.wait_for(p.wait(), TIMEOUT)
            return done.result() if done.done() else None, code, (await said).decode()

    got = await our_client("their server", "ws", [])
    check("their server: close and our exit", got[:2] == (1001, 0), got)
    with tempfile.TemporaryDirectory() as tmp:
        pem, key = tmp + "/cert.pem", tmp + "/cert.key"
        subprocess.run([os.environ["TUNNEL_BIN"], "keygen", "--self-signed", "--cert", pem, "--key", key, "127.0.0.1"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem, key)
        got = await our_client("their server, TLS", "wss", ["--ca", pem], ssl=tls)
        check("their server, TLS: close and our exit", got[:2] == (1001, 0), got)
        got = await our_client("their server, unknown", "wss", [], ssl=tls)
        check("their server, unknown: not spoken to, and why", got[:2] == (None, 1) and "certificate" in got[2], got)


def main():
    ws_echo = sys.argv[1]
    server = subprocess.Popen([ws_echo, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        port = int(server.stdout.readline().split(b":")[-1])
        # Its complaints are expected; somebody must read them so that it never waits.
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        raw_server_part(port)
        handshake_part(port)
        raw_client_part(ws_echo)
        asyncio.run(others_part(ws_echo, port))
    finally:
        server.terminate()
        check("server ends cleanly", server.wait(TIMEOUT) == 0, server.returncode)
        drain.wait(TIMEOUT)
    print(f"{passed} checks passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
