# SPDX-License-Identifier: ISC
"""A relay that plays a part: fake_relay.py PORT_FILE. The part is the path of the client's URL.

    /good             accepts, says "hello" and ends
    /data-first       says "stolen" before it accepts, then as /good
    /end-first        ends before it accepts, and says nothing
    /refused          RESET, REFUSED, after five bytes of the stream
    /broken           accepts, and after five bytes says "hel", then RESET
    /crossed...       the first session: GOAWAY and RESET, GONE, in answer to the first OPEN; the next ones: as /good
    /away/CODE        greets by GOAWAY with this code, and closes
    /publish/yes      lists the ability, and publishes what an agent asks for
    /publish/no       refuses with a text of the greatest length
    /publish/long     refuses with a longer one
    /publish/lies     answers what was not asked, nonsense, and at last the truth, twice, the second time as a no
    /publish/asks     wants the agent to publish something, and then as /publish/yes

Listens on a free port of 127.0.0.1, writes it to PORT_FILE by rename, serves each connection in a thread.
"""
import base64
import hashlib
import json
import os
import socket
import struct
import sys
import threading

HELLO, OPEN, OPEN_OK, DATA, WINDOW, EOF, RESET = 1, 2, 3, 4, 5, 6, 7
CONTROL, GOAWAY, PING, PONG = 9, 10, 11, 12
EOF_ACKED = 1
OK, REFUSED, GONE, BROKEN = 0, 2, 10, 11
crossed = set()  # paths of which the first session was


class Session:
    def __init__(self, s):
        self.s, self.f, self.buffer = s, s.makefile("rb"), b""
        self.path, key = self.f.readline().split()[1].decode(), b""
        while (line := self.f.readline().strip()) != b"":
            if line.lower().startswith(b"sec-websocket-key:"):
                key = line.split()[1]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")

    def send(self, kind, stream=0, body=b"", flags=0):
        frame = struct.pack(">BBHI", kind, flags, len(body), stream) + body
        head = bytes([0x82, len(frame)]) if len(frame) < 126 else struct.pack(">BBH", 0x82, 126, len(frame))
        self.s.sendall(head + frame)

    def more(self):
        """The payload of one more WebSocket frame from the client; false at the end."""
        head = self.f.read(2)
        if len(head) < 2 or head[0] & 15 == 8:
            return False
        n = head[1] & 127
        if n == 126:
            n = struct.unpack(">H", self.f.read(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.f.read(8))[0]
        mask, payload = self.f.read(4), self.f.read(n)
        self.buffer += bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        return True

    def frames(self):
        while True:
            while len(self.buffer) < 8 or len(self.buffer) < 8 + struct.unpack(">H", self.buffer[2:4])[0]:
                if not self.more():
                    return
            kind, flags, n, stream = struct.unpack(">BBHI", self.buffer[:8])
            body, self.buffer = self.buffer[8:8 + n], self.buffer[8 + n:]
            yield kind, flags, stream, body


def say(session, stream, text):
    session.send(DATA, stream, text)


def accept(session, stream):
    session.send(OPEN_OK, stream, b"{}")


def end(session, stream, n):
    session.send(EOF, stream, struct.pack(">Q", n))


def reset(session, stream, code, text):
    session.send(RESET, stream, struct.pack(">I", code) + text)


def opened(session, stream, part):
    if part == "/data-first":
        say(session, stream, b"stolen")
        accept(session, stream)
        end(session, stream, 6)
    elif part == "/end-first":
        end(session, stream, 0)
        accept(session, stream)
    elif part == "/broken":
        accept(session, stream)
    elif part.startswith("/crossed") and part not in crossed:
        crossed.add(part)
        session.send(GOAWAY, 0, struct.pack(">I", OK) + b"going")
        reset(session, stream, GONE, b"going away")
    elif part != "/refused":
        accept(session, stream)
        say(session, stream, b"hello")
        end(session, stream, 5)


def control(session, part, body):
    """A request of an agent, or its answer to ours."""
    q = json.loads(body)
    print("%s: CONTROL %s" % (part, body.decode()), flush=True)

    def reply(i, **members):
        session.send(CONTROL, 0, json.dumps({"id": i, **members}).encode())
    if "request" not in q:
        return
    port = q.get("port", 30001)
    yes = {"ok": True, "public": "192.0.2.1:%d" % port, "port": port}
    if part in ("/publish/no", "/publish/long"):
        reply(q["id"], ok=False, error="x" * (255 if part == "/publish/no" else 256))
        return
    if part == "/publish/lies":
        reply(q["id"] + 1000, ok=False, error="an answer to nothing")
        reply(-1, ok=True)
        reply("1", ok=True)
        reply(2**60, ok=True)
        for nonsense in (b"{}", b"[]", b"\xff\xfe", b"x" * 8192):
            session.send(CONTROL, 0, nonsense)
    if part == "/publish/asks":
        reply(77, request="publish", kind="tcp", service="ssh")
    reply(q["id"], **yes)
    if part == "/publish/lies":
        reply(q["id"], ok=False, error="a second answer")


def serve(s):
    session, got = Session(s), {}
    if session.path.startswith("/away/"):
        session.send(GOAWAY, 0, struct.pack(">I", int(session.path[6:])) + b"not now")
        s.sendall(bytes([0x88, 2, 3, 232]))
        session.f.read()
        s.close()
        return
    hello = {"version": 1, "role": "relay", "instance": "00" * 16}
    if session.path.startswith("/publish/"):
        hello["abilities"] = ["publish"]
    session.send(HELLO, 0, json.dumps(hello).encode())
    for kind, flags, stream, body in session.frames():
        print("%s: frame %d, stream %d, %d bytes" % (session.path, kind, stream, len(body)), flush=True)
        if kind == PING:
            session.send(PONG, 0, body)
        elif kind == CONTROL:
            control(session, session.path, body)
        elif kind == OPEN:
            got[stream] = 0
            opened(session, stream, session.path)
        elif kind == DATA:
            got[stream] += len(body)
            if session.path == "/refused" and got[stream] == 5:
                reset(session, stream, REFUSED, b"refused on purpose")
            if session.path == "/broken" and got[stream] == 5:
                say(session, stream, b"hel")
                reset(session, stream, BROKEN, b"broken on purpose")
        elif kind == EOF:
            session.send(WINDOW, stream, struct.pack(">QQ", got[stream], 131072), EOF_ACKED)
        elif kind == RESET:
            print("%s: RESET %d %s" % (session.path, struct.unpack(">I", body[:4])[0], body[4:].decode()), flush=True)
    s.close()


def guarded(s):
    try:
        serve(s)
    except (OSError, IndexError) as e:
        print("connection: %s" % e, flush=True)


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    with open(sys.argv[1] + ".new", "w") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    while True:
        threading.Thread(target=guarded, args=(listener.accept()[0],), daemon=True).start()


main()
