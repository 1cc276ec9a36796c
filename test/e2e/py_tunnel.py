# SPDX-License-Identifier: ISC
"""A second implementation, written from PROTOCOL.md alone, and a strict judge of what the other side sends.

    py_tunnel.py URL SECRET_FILE NAME READY_FILE [[udp:]SERVICE=PORT[:PUBLIC] ...]
        an agent, until SIGTERM; py_client.py is the client

Everything that breaks the page is printed as "VIOLATION SECTION: ..." and counted; the last line tells how many. What we send is cut at random into
messages and fragments. Needs python3-websockets.

With TUNNEL_PY_KEY in the environment (py_keys.py) it logs in by key.

It publishes each SERVICE, which is a PORT of TCP or UDP of 127.0.0.1, on any public port or on PUBLIC; READY_FILE has under "services" what was granted,
{"port": ..., "public": ...} by name, and under "refused" why not. SIGUSR1 withdraws all of them, then READY_FILE has none.

The agent connects to ports of 127.0.0.1 only, and has services that a test of the relay as a hop needs:

    mirror       puts what OPEN held into its OPEN_OK, as "x-open", and ends
    ack-N        takes N bytes, and no more
    reset-CODE   answers with RESET, CODE, "as it was said"
"""
import asyncio
import collections
import json
import os
import random
import re
import signal
import socket
import struct
import sys
import time

import websockets

from py_keys import Keyed

HELLO, OPEN, OPEN_OK, DATA, WINDOW, EOF, RESET, DATAGRAM, CONTROL, GOAWAY, PING, PONG, RETURN = range(1, 14)
EOF_ACKED, RETURNED = 1, 2
# 3.2: whether it names a stream, flags, the least and the most bytes of its body
TYPES = {HELLO: (False, 0, 2, 8192), OPEN: (True, 0, 2, 4096), OPEN_OK: (True, 0, 2, 4096), DATA: (True, 0, 1, 65535),
         WINDOW: (True, EOF_ACKED | RETURNED, 16, 16), EOF: (True, 0, 8, 8), RESET: (True, 0, 4, 1024), DATAGRAM: (True, 0, 0, 65507),
         CONTROL: (False, 0, 2, 8192), GOAWAY: (False, 0, 4, 1024), PING: (False, 0, 8, 8), PONG: (False, 0, 8, 8),
         RETURN: (True, 0, 8, 8)}
NAMES = dict(enumerate("HELLO OPEN OPEN_OK DATA WINDOW EOF RESET DATAGRAM CONTROL GOAWAY PING PONG RETURN".split(), 1))
# 3.8
(OK, CANCELLED, REFUSED, UNREACHABLE, TIMEOUT, NOT_FOUND, DENIED, LIMIT, PROTOCOL, INTERNAL, GONE, WAS_RESET, REPLACED, REVOKED, LOST) = range(15)
IN_RESET = {CANCELLED, REFUSED, UNREACHABLE, TIMEOUT, NOT_FOUND, DENIED, LIMIT, PROTOCOL, INTERNAL, GONE, WAS_RESET, LOST}
IN_GOAWAY = {OK, TIMEOUT, DENIED, LIMIT, PROTOCOL, INTERNAL, REPLACED, REVOKED}
LEAST_WINDOW = 8192
WINDOW_MAX = 1 << 20
UNUSED_S = 1  # credit that was not used for so long is given back
OUR_DATA_MAX = 65528
NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
WAIT_S = 60

violations = []


def violation(section, text):
    violations.append(text)
    print(f"VIOLATION {section}: {text}", flush=True)


class Ended(Exception):
    """The session has ended."""


class WasReset(Exception):
    def __init__(self, code, text):
        super().__init__(f"RESET {code} {text}")
        self.code, self.text = code, text


# ---- JSON, section 4 ----

def members(pairs):
    if len({k for k, _ in pairs}) != len(pairs):
        violation("4", f"a member stands twice: {pairs}")
    return dict(pairs)


def strict_json(body):
    try:
        text = body.decode()
        found = json.loads(text, object_pairs_hook=members)
    except ValueError as e:
        violation("4", f"no JSON: {body!r}: {e}")
        return {}
    if not isinstance(found, dict):
        violation("4", f"no object: {text}")
        return {}
    if re.search(r"\s", re.sub(r'"(?:\\.|[^"\\])*"', '""', text)):
        violation("4", f"needless spaces: {text}")
    for value in found.values():
        if isinstance(value, str) and re.search(r"[\x00-\x1f\x7f-\x9f]", value):
            violation("4", f"control characters: {text}")
        if isinstance(value, float) or isinstance(value, int) and not -2**63 <= value < 2**63:
            violation("4", f"a number that is no integer of 64 bits: {text}")
    return {k: v for k, v in found.items() if v is not None}


def dense(found):
    return json.dumps(found, separators=(",", ":")).encode()


def member(section, found, name, kind, test=lambda v: True, must=False):
    """Whether a known member is there; its type and shape are judged."""
    if name not in found:
        if must:
            violation(section, f"no {name}: {found}")
        return False
    if type(found[name]) is not kind or not test(found[name]):
        violation(section, f"{name} is {found[name]!r}")
        return False
    return True


def abilities(section, found):
    member(section, found, "abilities", list, lambda v: len(v) <= 32 and all(type(w) is str and re.fullmatch(NAME, w) for w in v))


def is_hex(v):
    return re.fullmatch(r"[0-9a-fA-F]{32}", v)


# ---- one stream ----

class Stream:
    """limit: what we may send at first, given: what the peer may."""

    def __init__(self, session, number, limit, given):
        self.session, self.id = session, number
        self.changed = asyncio.Event()
        self.answer = None  # OPEN_OK, of a stream that we opened
        self.reset = None  # (code, text), from the other side
        self.we_reset = False
        # towards the peer
        self.sent, self.limit, self.acked, self.eof_sent, self.eof_acked = 0, limit, 0, False, False
        self.used_s, self.returning = time.monotonic(), False
        # from the peer
        self.got, self.given, self.handed, self.told, self.window = 0, given, 0, 0, max(given, 65536)
        self.eof_seen, self.eof_ack_sent, self.came_s, self.returns = False, False, 0, 0
        self.inbox = collections.deque()
        self.found = {}  # what the OPEN held that we answer

    def frame(self, kind, body=b"", flags=0):
        return self.session.frame(kind, self.id, body, flags)

    async def until(self, test, limit_s=WAIT_S):
        """Waits for the condition; raises when the stream or the session ends before."""
        end = time.monotonic() + limit_s
        while not test():
            if self.reset and not self.inbox:
                raise WasReset(*self.reset)
            if self.session.over:
                raise Ended(f"stream {self.id}: the session has ended")
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), max(0, end - time.monotonic()))
            except asyncio.TimeoutError:
                raise TimeoutError(f"stream {self.id}: waited {limit_s} s") from None

    # what we do

    async def opened(self):
        await self.until(lambda: self.answer is not None)
        return self.answer

    async def write(self, data):
        data = memoryview(data)
        while data:
            await self.until(lambda: self.sent < self.limit)
            n = min(len(data), self.limit - self.sent, self.session.rnd.choice((1, 1000, 16384, OUR_DATA_MAX, OUR_DATA_MAX)))
            self.sent += n
            self.used_s = time.monotonic()
            await self.session.send(self.frame(DATA, bytes(data[:n])))
            data = data[n:]

    async def end(self):
        self.eof_sent = True
        await self.session.send(self.frame(EOF, struct.pack(">Q", self.sent)))

    async def read(self, most=1 << 30):
        """Bytes that came, b"" at the end. What is returned counts as handed on."""
        await self.until(lambda: self.inbox or self.eof_seen)
        if not self.inbox:
            if not self.eof_ack_sent:
                self.eof_ack_sent = True
                await self.tell()
            return b""
        data = self.inbox.popleft()
        if len(data) > most:
            self.inbox.appendleft(data[most:])
            data = data[:most]
        self.handed += len(data)
        if self.handed - self.told >= 16384 or not self.inbox:
            await self.tell()
        return data

    async def tell(self):
        if self.reset or self.we_reset:
            return
        self.told = self.handed
        self.window = min(self.window * 2, WINDOW_MAX)
        self.given = max(self.given, self.handed + self.window)
        await self.session.send(self.window_frame(EOF_ACKED if self.eof_ack_sent else 0))

    def window_frame(self, flags=0):
        return self.frame(WINDOW, struct.pack(">QQ", self.handed, self.given), flags)

    def give_back(self):
        """RETURN, when there is credit that was not used for a second."""
        to = self.sent + LEAST_WINDOW
        if self.eof_sent or self.reset or self.we_reset or self.returning or self.limit <= to or time.monotonic() - self.used_s < UNUSED_S:
            return
        self.limit, self.returning = to, True
        self.session.put(self.frame(RETURN, struct.pack(">Q", to)))

    async def read_all(self):
        parts = []
        while data := await self.read():
            parts.append(data)
        return b"".join(parts)

    async def break_off(self, code=CANCELLED, text=""):
        self.we_reset = True
        await self.session.send(self.frame(RESET, struct.pack(">I", code) + text.encode()))

    async def finished(self):
        """Until both halves are acknowledged."""
        await self.until(lambda: self.eof_acked)

    # what comes

    def take(self, kind, flags, body):
        if self.reset:
            violation("5.6", f"stream {self.id}: {NAMES[kind]} after RESET")
            return
        if self.we_reset and kind != RESET:
            return  # it was under way
        getattr(self, "take_" + NAMES[kind].lower())(flags, body)
        self.changed.set()

    def take_open_ok(self, _, body):
        found = strict_json(body)
        if not self.session.opens(self.id):
            violation("4.3", f"stream {self.id}: OPEN_OK for a stream that its sender opened")
        if self.answer is not None:
            violation("4.3", f"stream {self.id}: a second OPEN_OK")
        member("4.3", found, "received", int, lambda v: v == 0)
        member("4.3", found, "target", str, lambda v: 3 <= len(v) <= 262 and re.fullmatch(r".+:\d+", v))
        abilities("4.3", found)
        self.answer = found

    def take_data(self, _, body):
        if self.session.opens(self.id) and self.answer is None:
            violation("4.3", f"stream {self.id}: DATA before OPEN_OK")
        if self.eof_seen:
            violation("5.2", f"stream {self.id}: DATA after EOF")
        if len(body) > OUR_DATA_MAX:
            violation("9", f"stream {self.id}: DATA of {len(body)} bytes")
        self.got += len(body)
        self.came_s = time.monotonic()
        if self.got > self.given:
            violation("5.2", f"stream {self.id}: DATA up to {self.got}, the limit is {self.given}")
        self.inbox.append(body)

    def take_eof(self, _, body):
        final = struct.unpack(">Q", body)[0]
        if self.eof_seen:
            violation("5.5", f"stream {self.id}: a second EOF")
        if self.session.opens(self.id) and self.answer is None:
            violation("4.3", f"stream {self.id}: EOF before OPEN_OK")
        if final != self.got:
            violation("5.5", f"stream {self.id}: EOF says {final}, {self.got} bytes came")
        self.eof_seen = True

    def take_window(self, flags, body):
        acked, limit = struct.unpack(">QQ", body)
        where = f"stream {self.id}: WINDOW acked {acked} limit {limit} flags {flags} after acked {self.acked} limit {self.limit}"
        if self.eof_acked:
            violation("5.1", f"{where}, in the last state of its half")
        if acked > self.sent:
            violation("5.3", f"{where}: {self.sent} were sent")
        if acked < self.acked:
            violation("5.3", f"{where}: acked goes back")
        if limit >= 1 << 63:
            violation("5.3", f"{where}: the limit is too high")
        if limit < acked + LEAST_WINDOW and not self.eof_sent:
            violation("5.2", f"{where}: a window of less than {LEAST_WINDOW}")
        if flags & EOF_ACKED:
            if not self.eof_sent or acked != self.sent:
                violation("5.3", f"{where}: EOF_ACKED, {self.sent} were sent, {'' if self.eof_sent else 'no '}EOF")
            self.eof_acked = True
        self.acked = max(self.acked, acked)
        self.take_limit(where, limit, bool(flags & RETURNED))

    def take_limit(self, where, limit, returned):
        if returned and not self.returning:
            violation("5.4", f"{where}: RETURNED without RETURN")
        if self.returning and not returned:
            return  # it was sent before the receiver knew
        if limit < self.limit:
            violation("5.4" if returned else "5.2", f"{where}: the limit goes back")
        self.limit, self.returning = max(self.limit, limit), False

    def take_return(self, _, body):
        to = struct.unpack(">Q", body)[0]
        where = f"stream {self.id}: RETURN to {to}, {self.got} bytes came, the limit is {self.given}"
        if self.eof_seen:
            violation("5.4", f"{where}: its half has ended")
        if not self.got <= to <= self.given:
            violation("5.4", where)
            return
        if to != self.got + LEAST_WINDOW:
            violation("5.4", f"{where}: not {LEAST_WINDOW} beyond what was sent")
        if time.monotonic() - self.came_s < UNUSED_S / 2:
            violation("5.4", f"{where}: it sent DATA {time.monotonic() - self.came_s:.2f} s ago")
        self.given, self.window, self.returns = to, LEAST_WINDOW, self.returns + 1
        self.session.put(self.window_frame(RETURNED))

    def take_reset(self, _, body):
        self.reset = self.session.code_and_text(body, IN_RESET, "RESET")

    def take_datagram(self, *_):
        violation("3.7", f"stream {self.id}: DATAGRAM on a byte stream")

    def take_open(self, *_):
        violation("4.2", f"stream {self.id}: a second OPEN")


class Flow(Stream):
    """A stream of datagrams (5.7)."""

    def __init__(self, session, number):
        super().__init__(session, number, 0, 0)

    async def send_datagram(self, data):
        await self.session.send(self.frame(DATAGRAM, data))

    async def datagram(self, limit_s=WAIT_S):
        await self.until(lambda: self.inbox, limit_s)
        return self.inbox.popleft()

    async def tell(self):
        pass  # there are no windows

    def give_back(self):
        pass

    def take_datagram(self, _, body):
        if self.session.opens(self.id) and self.answer is None:
            violation("4.3", f"stream {self.id}: DATAGRAM before OPEN_OK")
        self.inbox.append(body)

    def unfit(self, *_):
        violation("5.7", f"stream {self.id}: bytes, a window or an end on a stream of datagrams")

    take_data = take_window = take_eof = take_return = unfit


# ---- one session ----

class Session:
    """A dialer's. on_open(stream, members) is called for what the relay opens; a client has none."""

    def __init__(self, role, name, secret, seed=0, on_open=None):
        self.rnd = random.Random(seed)
        self.role, self.name, self.secret, self.on_open = role, name, secret, on_open
        self.streams, self.last_opened, self.last_id = {}, 0, -1
        self.out, self.room, self.work = collections.deque(), asyncio.Event(), asyncio.Event()
        self.peer, self.goaway, self.over, self.pinged, self.pings = None, None, False, 0, collections.deque()
        self.buf, self.came = bytearray(), asyncio.Event()
        self.asked, self.last_asked = {}, 0  # what waits for a reply, by id
        self.services = {}  # an agent's, and their ports; those of UDP are called "udp:NAME"
        self.tasks = set()

    def opens(self, number):
        """Whether ids of that kind are ours."""
        return number % 2 == 1

    def frame(self, kind, number, body=b"", flags=0):
        return struct.pack(">BBHI", kind, flags, len(body), number) + body

    def put(self, frame, first=False):
        (self.out.appendleft if first else self.out.append)(frame)
        self.work.set()

    async def send(self, frame):
        self.put(frame)
        while sum(map(len, list(self.out)[:8])) > 262144 and not self.over:
            self.room.clear()
            await self.room.wait()

    async def start(self, url):
        """Dials and logs in; returns the relay's HELLO, None if it sent GOAWAY."""
        self.ws = await websockets.connect(url, max_size=None, ping_interval=None, compression=None)
        hello = {"version": 1, "role": self.role, "name": self.name, "secret": self.secret, "instance": os.urandom(16).hex(),
                 "keepalive_ms": 15000, "software": "py_tunnel/1", "not-known": [1, {"deep": None}]}
        if "TUNNEL_PY_KEY" in os.environ:
            self.ws = await Keyed(self.ws, violation).handshake()
            del hello["secret"]
        self.put(self.frame(HELLO, 0, dense(hello)))
        for what in self.writer(), self.reader(), self.returner():
            self.spawn(what)
        while self.peer is None and self.goaway is None and not self.over:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), WAIT_S)
        return self.peer

    def spawn(self, what):
        task = asyncio.ensure_future(what)
        self.tasks.add(task)
        task.add_done_callback(self.done)
        return task

    def done(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            print("a task of ours failed: %r" % task.exception(), flush=True)
            task.print_stack()

    async def writer(self):
        """Frames as messages and fragments whose borders mean nothing (section 2)."""
        try:
            while True:
                while not self.out:
                    self.work.clear()
                    await self.work.wait()
                data = b"".join(self.out.popleft() for _ in range(min(len(self.out), self.rnd.randint(1, 8))))
                self.room.set()
                if self.rnd.random() < 0.8:
                    await self.ws.send(data)
                    continue
                cuts = sorted(self.rnd.sample(range(len(data)), min(len(data), 3)))
                parts = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
                if self.rnd.random() < 0.5:
                    await self.ws.send(parts)
                else:
                    for part in parts:
                        await self.ws.send(part)
        except websockets.ConnectionClosed:
            self.end()

    async def returner(self):
        while not self.over:
            await asyncio.sleep(0.3)
            for stream in self.streams.values():
                stream.give_back()

    async def reader(self):
        try:
            async for message in self.ws:
                if isinstance(message, str):
                    violation("2", "a text message")
                    continue
                self.buf += message
                self.frames()
        except websockets.ConnectionClosed:
            pass
        if self.ws.close_code in (None, 1002, 1006):
            violation("2", f"the carrier ended without a Close, or for a fault: {self.ws.close_code} {self.ws.close_reason}")
        self.end()

    def end(self):
        self.over = True
        for s in self.streams.values():
            s.changed.set()
        for waiting in self.asked.values():
            waiting.cancel()
        self.room.set()
        self.came.set()

    def frames(self):
        at = 0
        while len(self.buf) - at >= 8:
            kind, flags, length, number = struct.unpack_from(">BBHI", self.buf, at)
            if len(self.buf) - at < 8 + length:
                break
            body = bytes(self.buf[at + 8:at + 8 + length])
            at += 8 + length
            self.frame_came(kind, flags, number, body)
        del self.buf[:at]

    def frame_came(self, kind, flags, number, body):
        row = TYPES.get(kind)
        if row is None:
            violation("3.2", f"a frame of type {kind}")
            return
        is_stream, known, least, most = row
        if is_stream != (number != 0) or flags & ~known or not least <= len(body) <= most:
            violation("3.2", f"{NAMES[kind]} id {number} flags {flags} with {len(body)} bytes")
            return
        if self.peer is None and kind not in (HELLO, GOAWAY):
            violation("6.1", f"{NAMES[kind]} before HELLO")
        if not is_stream:
            getattr(self, "take_" + NAMES[kind].lower())(body)
        elif kind == OPEN:
            self.take_open(number, body)
        elif number in self.streams:
            self.streams[number].take(kind, flags, body)
        elif number > (self.last_opened if self.opens(number) else self.last_id):
            violation("5.1", f"{NAMES[kind]} for stream {number}, which was never opened")
        self.came.set()

    def code_and_text(self, body, allowed, name):
        code, text = struct.unpack(">I", body[:4])[0], body[4:]
        if code not in allowed:
            violation("3.8", f"{name} with code {code}")
        try:
            if text.decode().endswith("\0"):
                violation("3.5", f"{name}: NUL at the end of {text!r}")
        except ValueError:
            violation("3.5", f"{name}: {text!r} is no UTF-8")
        if self.secret.encode() in text:
            violation("3.5", f"{name}: its text holds the secret")
        return code, text.decode(errors="replace")

    # frames of the session

    def take_hello(self, body):
        found = strict_json(body)
        if self.peer is not None:
            violation("6.1", "a second HELLO")
        member("4.1", found, "version", int, lambda v: 1 <= v <= 255, must=True)
        member("4.1", found, "role", str, lambda v: v == "relay", must=True)
        member("4.1", found, "instance", str, is_hex, must=True)
        member("4.1", found, "keepalive_ms", int, lambda v: 0 <= v <= 3600000)
        member("4.1", found, "software", str, lambda v: len(v.encode()) <= 63)
        abilities("4.1", found)
        for name in ("name", "secret"):
            if name in found:
                violation("4.1", f"an acceptor says its {name}")
        self.peer = found
        self.ping()

    def take_open(self, number, body):
        found = strict_json(body)
        if self.on_open is None or self.opens(number):
            violation("4.2", f"OPEN {number} to a {self.role}")
            return
        if number <= self.last_id:
            violation("4.2", f"OPEN {number} after {self.last_id}")
        if self.goaway:
            violation("6.4", f"OPEN {number} after GOAWAY")
        self.last_id = number
        member("4.2", found, "token", str, is_hex, must=True)
        member("4.2", found, "protocol", str, lambda v: re.fullmatch(r"[a-z][a-z0-9-]{0,6}", v), must=True)
        if ("service" in found) == ("host" in found) or ("host" in found) != ("port" in found):
            violation("4.2", f"OPEN {number}: not one of service and host, port: {found}")
        member("4.2", found, "service", str, lambda v: re.fullmatch(NAME, v))
        member("4.2", found, "host", str, lambda v: re.fullmatch(r"[!-~]{1,255}", v))
        member("4.2", found, "port", int, lambda v: 1 <= v <= 65535)
        member("4.2", found, "source", str, lambda v: len(v) <= 63 and re.fullmatch(r".+:\d+", v), must=True)
        member("4.2", found, "client", int, lambda v: 1 <= v < 1 << 32, must=True)
        member("4.2", found, "window", int, lambda v: LEAST_WINDOW <= v < 1 << 31)
        abilities("4.2", found)
        member("4.2", found, "received", int, lambda v: v >= 0)
        if found.get("protocol") == "udp":
            stream = Flow(self, number)
        else:
            stream = Stream(self, number, found.get("window", LEAST_WINDOW), LEAST_WINDOW)
        self.streams[number] = stream
        self.spawn(self.on_open(stream, found))

    def take_goaway(self, body):
        self.goaway = self.code_and_text(body, IN_GOAWAY, "GOAWAY")

    def take_control(self, body):
        found = strict_json(body)
        if "request" in found:
            violation("4.4", f"a relay's request: {found}")
            return
        member("4.4", found, "id", int, lambda v: 1 <= v <= 1 << 53, must=True)
        member("4.4", found, "ok", bool, must=True)
        member("4.4", found, "error", str, lambda v: len(v.encode()) <= 255)
        member("4.4", found, "public", str, lambda v: len(v.encode()) <= 300 and re.fullmatch(r".+:\d+", v))
        member("4.4", found, "port", int, lambda v: 1 <= v <= 65535)
        waiting = self.asked.pop(found.get("id"), None)
        if waiting is None:
            violation("4.4", f"a reply to nothing that was asked: {found}")
        elif not waiting.done():
            waiting.set_result(found)

    def take_ping(self, body):
        self.pinged += 1
        self.put(self.frame(PONG, 0, body), first=True)

    def take_pong(self, body):
        while self.pings and self.pings[0][0] != body:
            self.pings.popleft()  # of many, some may be left out
        if not self.pings:
            violation("3.6", f"PONG {body.hex()} that answers no PING, or not in order")
            return
        took = time.monotonic() - self.pings.popleft()[1]
        if took > 10:
            violation("3.6", f"a PING was answered after {took:.1f} s")

    def ping(self):
        body = os.urandom(8)
        self.pings.append((body, time.monotonic()))
        self.put(self.frame(PING, 0, body))

    # what we do

    async def open(self, **what):
        window = self.rnd.choice((None, LEAST_WINDOW, 50000, 1 << 20))
        found = {"token": os.urandom(16).hex(), "protocol": "tcp", "x-not-known": {"a": [1, "b"]}, **({"window": window} if window else {}), **what}
        return await self.open_with(dense(found), window or LEAST_WINDOW)

    async def open_with(self, body, window=LEAST_WINDOW):
        """OPEN with that body, whatever it says."""
        self.last_opened = self.last_opened + 2 if self.last_opened else 1
        return await self.opening(Stream(self, self.last_opened, LEAST_WINDOW, window), body)

    async def open_flow(self, **what):
        self.last_opened = self.last_opened + 2 if self.last_opened else 1
        return await self.opening(Flow(self, self.last_opened), dense({"token": os.urandom(16).hex(), "protocol": "udp", **what}))

    async def opening(self, stream, body):
        self.streams[stream.id] = stream
        await self.send(stream.frame(OPEN, body))
        return stream

    async def ask(self, **what):
        """A request (4.4), and the reply to it."""
        self.last_asked += 1
        waiting = self.asked[self.last_asked] = asyncio.get_running_loop().create_future()
        await self.send(self.frame(CONTROL, 0, dense({"id": self.last_asked, **what})))
        return await asyncio.wait_for(waiting, WAIT_S)

    async def publish(self, service, **what):
        kind, _, service = service.rpartition(":")
        reply = await self.ask(request="publish", kind=kind or "tcp", service=service, **{"x-not-known": [{}], **what})
        if reply.get("ok") and reply.get("public", "").rpartition(":")[2] != str(reply.get("port")):
            violation("4.4", f"{service} is published, but where: {reply}")
        if reply.get("ok") and reply.get("port") != what.get("port", reply.get("port")):
            violation("4.4", f"{service} is published elsewhere than asked for: {reply}")
        return reply

    async def withdraw(self, service):
        kind, _, service = service.rpartition(":")
        reply = await self.ask(request="withdraw", kind=kind or "tcp", service=service)
        if not reply.get("ok"):
            violation("4.4", f"{service} cannot be withdrawn: {reply}")

    async def close(self):
        """In good order: GOAWAY, then the carrier's Close."""
        if not self.over:
            await self.send(self.frame(GOAWAY, 0, struct.pack(">I", OK)))
            while self.out:
                await asyncio.sleep(0.01)
        if self.peer and not self.pinged:
            violation("6.2", "no PING came in the whole session")
        if self.pings and not self.over:
            violation("3.6", f"{len(self.pings)} PINGs have no answer")
        await self.drop()

    async def drop(self):
        """Without a word of ours but the carrier's Close."""
        await asyncio.wait_for(self.ws.close(), WAIT_S)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


# ---- the agent ----

async def answer(stream, found):
    """What an OPEN gets: a connection, one of our services, or a RESET."""
    where = found.get("service", "")
    kind, _, number = where.partition("-")
    others = [s for s in stream.session.streams.values() if s is not stream and s.found.get("token") == found.get("token") and not s.reset]
    stream.found = found
    await stream.tell()  # 5.2: without waiting for the target
    if isinstance(stream, Flow) and "udp:" + where in stream.session.services:
        await carry_flow(stream, stream.session.services["udp:" + where])
    elif isinstance(stream, Flow) and found.get("host") == "127.0.0.1":
        await carry_flow(stream, found["port"])
    elif found.get("protocol") != "tcp" or found.get("received", 0) or others:
        await stream.break_off(NOT_FOUND, "no such protocol or stream")
    elif where == "mirror":
        await stream.session.send(stream.frame(OPEN_OK, dense({"x-open": found})))
        await stream.end()
    elif kind == "ack":
        await stream.session.send(stream.frame(OPEN_OK, b"{}"))
        while stream.handed < int(number):
            await stream.read(int(number) - stream.handed)
        await stream.tell()
    elif kind == "reset":
        await stream.break_off(int(number), "as it was said")
    elif where in stream.session.services:
        await connect(stream, stream.session.services[where])
    elif where:
        await stream.break_off(NOT_FOUND, "no such service")
    elif found["host"] != "127.0.0.1":
        await stream.break_off(DENIED, "not on this machine")
    else:
        await connect(stream, found["port"])


async def carry_flow(stream, port):
    """By a connected socket: asyncio's own transport sends no empty datagrams."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as local:
        local.connect(("127.0.0.1", port))
        local.setblocking(False)
        await stream.session.send(stream.frame(OPEN_OK, dense({"target": f"127.0.0.1:{port}"})))

        async def inward():
            while True:
                local.send(await stream.datagram(600))

        async def outward():
            while True:
                await stream.send_datagram(await loop.sock_recv(local, 65536))
        both = [asyncio.ensure_future(inward()), asyncio.ensure_future(outward())]
        try:
            await asyncio.gather(*both)
        except OSError as e:
            if not stream.reset:
                await stream.break_off(REFUSED, str(e))
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)


async def connect(stream, port):
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as e:
        await stream.break_off(REFUSED, str(e))
        return
    await stream.session.send(stream.frame(OPEN_OK, dense({"received": 0, "target": f"127.0.0.1:{port}", "x-not-known": None})))

    async def inward():
        while data := await stream.read():
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def outward():
        while data := await reader.read(262144):
            await stream.write(data)
        await stream.end()
        await stream.finished()
    both = [asyncio.ensure_future(inward()), asyncio.ensure_future(outward())]
    try:
        await asyncio.gather(*both)
        writer.close()
    except (WasReset, Ended):
        writer.transport.abort()
    except OSError:
        if not stream.reset and not stream.session.over:
            await stream.break_off(WAS_RESET, "reset")
        writer.transport.abort()
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def guarded(stream, found):
    try:
        await answer(stream, found)
    except (WasReset, Ended):
        pass  # the other side has ended it


async def judge_refusals(session):
    """4.4: what breaks a rule is refused, and what cannot be answered ignored; the session goes on."""
    whole = {"request": "publish", "kind": "tcp", "service": "judged"}
    for wrong in ({"request": "no-such-request"}, {"request": 1}, {"request": "x" * 32}, {}, {"request": "publish", "kind": "tcp"},
                  {"request": "withdraw", "service": "judged"}, {**whole, "kind": "sctp"}, {**whole, "kind": "12345678"},
                  {**whole, "service": ".judged"}, {**whole, "service": "j" * 65}, {**whole, "port": 0}, {**whole, "port": 65536},
                  {**whole, "port": "22"}, {**whole, "had": 0}, {**whole, "allow": ["10.0.0.1/8"]}, {**whole, "allow": "::1"},
                  {**whole, "deny": ["192.0.2.1"] * 65}, {**whole, "max_connections": 0}, {**whole, "max_rate": 1000001},
                  {**whole, "proxy": 3}):
        reply = await session.ask(**wrong)
        if reply.get("ok") is not False:
            violation("4.4", f"{wrong} was answered by {reply}")
    for useless in whole, {"id": 0, **whole}, {"id": (1 << 53) + 1, **whole}, {"id": "1", **whole}, {"id": 1, "ok": True}, {"id": 1, "ok": "no"}:
        session.put(session.frame(CONTROL, 0, dense(useless)))
    for nonsense in b"{}", b"[]", b"no JSON", b"\xff\xff":
        session.put(session.frame(CONTROL, 0, nonsense))
    await session.withdraw("judged")  # there is nothing to withdraw


async def publish_all(session, services):
    """What READY_FILE tells. Services are SERVICE=PORT[:PUBLIC]."""
    told = {"services": {}, "refused": {}}
    for text in services:
        name, _, ports = text.partition("=")
        port, _, public = ports.partition(":")
        session.services[name] = int(port)
        reply = await session.publish(name, **({"port": int(public)} if public else {}))
        if reply.get("ok"):
            told["services"][name] = {"port": reply["port"], "public": reply["public"]}
        else:
            told["refused"][name] = reply.get("error")
    return told


def write_ready(path, told):
    with open(path + ".new", "wb") as f:
        f.write(dense(told))
    os.rename(path + ".new", path)


async def agent(url, secret, name, ready, services):
    session = Session("agent", name, secret, seed=2, on_open=guarded)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def withdraw_all():
        for service in session.services:
            await session.withdraw(service)
        write_ready(ready, {"services": {}, "refused": {}})
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: session.spawn(withdraw_all()))
    if await session.start(url) is None:
        sys.exit(f"the relay refused us: {session.goaway}")
    # 4.2: version 1 has no use for a stream that an agent opens.
    tried = await session.open(service="nothing")
    try:
        await tried.opened()
        violation("4.2", "an agent's OPEN was accepted")
    except WasReset as e:
        if e.code != DENIED:
            violation("4.2", f"an agent's OPEN met {e}")
    if "publish" in session.peer.get("abilities", []):
        await judge_refusals(session)
        write_ready(ready, await publish_all(session, services))
    else:
        write_ready(ready, {})
    await stop.wait()
    ours = [s for s in session.streams.values() if s.id % 2 == 0]
    print(f"{len(ours)} streams were opened here, {sum(s.returns > 0 for s in ours)} times credit came back", flush=True)
    await session.close()


def main():
    url, secret_file, name, ready, *services = sys.argv[1:]
    with open(secret_file) as f:
        asyncio.run(agent(url, f.read(), name, ready, services))
    print(f"{len(violations)} violations", flush=True)
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
