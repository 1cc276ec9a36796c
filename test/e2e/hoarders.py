# SPDX-License-Identifier: ISC
"""A client and an agent in league against the relay's memory: hoarders.py PORT STREAMS AGENT_SECRET CLIENT_SECRET [SESSIONS]

The client opens STREAMS streams, in SESSIONS sessions by turns, and fills every window that it gets; the agent reads all that comes and gives
room for none of it.  One more stream, the first, goes on as it should.  Prints how many streams were reset with LIMIT, and the text; says so if
one met another end, if the first stream was harmed, or if bytes of it are missing; and how many bytes the others have sent.
"""
import json
import struct
import sys
import threading

import ws_client

HELLO, OPEN, OPEN_OK, DATA, WINDOW, RESET, PING, PONG = 1, 2, 3, 4, 5, 7, 11, 12
LIMIT = 7
FLOOR = 8 * 1024           # what a stream may send before a WINDOW
WINDOW_FAST = 128 * 1024   # of the first stream, at the agent
FAST = 16 * 1024           # for the first stream, each time another is opened
port, n_streams, secrets = int(sys.argv[1]), int(sys.argv[2]), {"agent": sys.argv[3], "connect": sys.argv[4]}
n_sessions = int(sys.argv[5]) if len(sys.argv) > 5 else 1


class Session:
    def __init__(self, role):
        self.s = ws_client.upgraded(port)
        self.s.settimeout(None)
        self.lock = threading.Lock()
        self.f = self.s.makefile("rb")
        self.plain = b""
        self.put(HELLO, 0, ws_client.hello(role, "pi", secrets[role]))
        while self.get()[0] != HELLO:
            pass

    def put(self, kind, stream, body):
        with self.lock:
            self.s.sendall(ws_client.frame(ws_client.mux(kind, body, stream)))

    def need(self, n):
        while len(self.plain) < n:
            head = self.f.read(2)
            size = head[1]
            if size == 126:
                size = struct.unpack(">H", self.f.read(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.f.read(8))[0]
            self.plain += self.f.read(size)

    def get(self):
        self.need(8)
        kind, _, size, stream = struct.unpack(">BBHI", self.plain[:8])
        self.need(8 + size)
        body, self.plain = self.plain[8:8 + size], self.plain[8 + size:]
        if kind == PING:
            self.put(PONG, 0, body)
        return kind, stream, body


agent, clients = Session("agent"), [Session("connect") for _ in range(n_sessions)]
# Of a stream: (its session, its id there).
sent, limits, resets, texts = {}, {}, {}, set()
FIRST = (0, 1)
fast_got, fast_all, filled = 0, 0, threading.Event()
state = threading.Condition()


def serve_agent():
    global fast_got
    while True:
        kind, stream, body = agent.get()
        if kind == OPEN:
            agent.put(OPEN_OK, stream, b'{"received":0}')
        elif kind == DATA and stream == 2:  # the first
            fast_got += len(body)
            agent.put(WINDOW, stream, struct.pack(">QQ", fast_got, fast_got + WINDOW_FAST))
            with state:
                state.notify_all()


def serve_client(session):
    while True:
        kind, stream, body = clients[session].get()
        with state:
            if kind == WINDOW:
                limits[session, stream] = max(limits[session, stream], struct.unpack(">QQ", body)[1])
            elif kind == RESET:
                resets[session, stream] = struct.unpack(">I", body[:4])[0]
                texts.add(body[4:].decode())
            state.notify_all()


def fill(stream, most):
    """As much as the stream takes now, up to most in all."""
    while stream not in resets and sent[stream] < min(most, limits[stream]):
        n = min(FAST, min(most, limits[stream]) - sent[stream])
        clients[stream[0]].put(DATA, stream[1], bytes(n))
        sent[stream] += n


def open_stream(stream):
    sent[stream], limits[stream] = 0, FLOOR
    token = "%016x%016x" % stream
    clients[stream[0]].put(OPEN, stream[1], json.dumps({"token": token, "protocol": "tcp", "service": "x"}).encode())


def wait(what, condition):
    with state:
        if not state.wait_for(condition, 60):
            sys.exit("waited 60 s for " + what)


threading.Thread(target=serve_agent, daemon=True).start()
for i in range(n_sessions):
    threading.Thread(target=serve_client, args=(i,), daemon=True).start()
open_stream(FIRST)
before = FIRST
for i in range(n_streams):
    stream = (i % n_sessions, 2 * (i // n_sessions) + 3)
    open_stream(stream)
    if FIRST in resets:
        break
    # Whatever it is given at once, and what the one before was given since.
    fill(stream, limits[stream])
    if before != FIRST:
        fill(before, limits[before])
    before = stream
    wait("room in the first stream", lambda: limits[FIRST] >= fast_all + FAST or FIRST in resets)
    fast_all += FAST
    fill(FIRST, fast_all)
others = [stream for stream in sent if stream != FIRST]
for stream in others:
    fill(stream, limits[stream])
if FIRST not in resets:
    wait("the bytes of the first stream", lambda: fast_got == fast_all)
strange = sorted(code for code in resets.values() if code != LIMIT)
held = sum(sent[stream] for stream in others if stream not in resets)
print(len(resets), "first=%s" % resets.get(FIRST, "whole"), "strange=%s" % strange, "held=%d" % held, *texts, sep="; ", flush=True)
sys.stdin.read()
