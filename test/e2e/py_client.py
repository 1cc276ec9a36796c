# SPDX-License-Identifier: ISC
"""The client of py_tunnel.py, at work: py_client.py URL SECRET_FILE AGENT PORTS FILE

PORTS is JSON, the ports of tcp.py's servers by mode: echo, hash, send (of FILE), reset, stall; udp is udp.py's echo; closed is one that nobody has. With an AGENT that is
py_tunnel.py's the relay is asked, too, whether it leaves alone what a hop must. The last line counts violations of the page and failures.
"""
import asyncio
import hashlib
import json
import os
import struct
import sys
import time

import websockets

import py_tunnel as t
from py_tunnel import Session, WasReset, dense

failures = []


def expect(what, wanted, got):
    if wanted != got:
        failures.append(what)
        print(f"FAILED {what}: expected {wanted!r}, got {got!r}", flush=True)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Work:
    """What is done with one session."""

    def __init__(self, session, ports, file):
        self.session, self.ports = session, ports
        with open(file, "rb") as f:
            self.file = f.read()

    async def stream(self, mode):
        return await self.session.open(host="127.0.0.1", port=self.ports[mode])

    # bytes

    async def echo(self, n, early=False):
        """Both ways at once; half-close; both ends acknowledged."""
        data = self.session.rnd.randbytes(n)
        s = await self.stream("echo")
        if not early:
            await s.opened()

        async def up():
            await s.write(data)
            await s.end()
        sending = asyncio.ensure_future(up())
        got = await s.read_all()
        await sending
        await s.finished()
        expect(f"echo of {n} bytes", digest(data), digest(got))

    async def hashed(self, n):
        """The answer comes after our half has ended."""
        data = self.session.rnd.randbytes(n)
        s = await self.stream("hash")
        await s.write(data)
        await s.end()
        expect(f"sum of {n} bytes", f"{digest(data)} {n}\n", (await s.read_all()).decode())
        await s.finished()

    async def download(self, slow=False):
        s = await self.stream("send")
        parts = []
        while data := await s.read(16384 if slow else 1 << 30):
            parts.append(data)
            if slow and len(parts) < 100:
                await asyncio.sleep(0.02)
        expect("a download", digest(self.file), digest(b"".join(parts)))
        await s.end()
        await s.finished()

    async def beside_slow(self):
        """One that nobody reads, one that is read slowly, and others that go on."""
        stalled = await self.stream("send")
        await stalled.opened()
        slow = asyncio.ensure_future(self.download(slow=True))
        begin = time.monotonic()
        for n in (1, 200000, 5000000):
            await self.echo(n)
        print(f"echoes beside a slow and a stalled reader: {time.monotonic() - begin:.1f} s", flush=True)
        await slow
        await stalled.break_off()

    async def idle(self):
        """Credit that nobody uses comes back, ours too, and the stream goes on."""
        data = self.session.rnd.randbytes(2000000)
        s = await self.stream("echo")
        await s.opened()
        for n in range(2):
            sending = asyncio.ensure_future(s.write(data))
            got = b""
            while len(got) < len(data):
                got += await s.read()
            await sending
            expect(f"before and after a pause, {n}", digest(data), digest(got))
            await s.until(lambda: s.returns > n, 10)
            await s.until(lambda: not s.returning, 10)
        await s.break_off()

    # datagrams

    async def datagrams(self):
        """Each comes back whole, in order; what does not belong to such a stream resets it."""
        here = {"host": "127.0.0.1", "port": self.ports["udp"]}
        s = await self.session.open_flow(**here)
        for n in (0, 1, 1200, 9000, 65507):
            data = self.session.rnd.randbytes(n)
            await s.send_datagram(data)
            expect(f"a datagram of {n} bytes", digest(data), digest(await s.datagram()))
        for n in range(100):
            await s.send_datagram(b"%d" % n)
        expect("a hundred datagrams", [b"%d" % n for n in range(100)], [await s.datagram() for _ in range(100)])
        await s.break_off()
        for what, kind, body in (("DATA", t.DATA, b"x"), ("EOF", t.EOF, bytes(8)), ("WINDOW", t.WINDOW, bytes(16)), ("RETURN", t.RETURN, bytes(8))):
            s = await self.session.open_flow(**here)
            await s.opened()
            await self.session.send(s.frame(kind, body))
            await self.flow_ends_with(f"{what} on a stream of datagrams", s, t.PROTOCOL)
        s = await self.session.open_flow(host="127.0.0.1", port=self.ports["closed"])
        await s.send_datagram(b"anybody?")
        await self.flow_ends_with("a port of UDP that nobody has", s, t.REFUSED)

    async def flow_ends_with(self, what, s, code):
        try:
            expect(what, f"RESET {code}", await s.datagram(10))
        except TimeoutError:
            expect(what, f"RESET {code}", "an open stream")
        except WasReset as e:
            expect(what, code, e.code)

    # ends

    async def ends_with(self, what, s, code, text=None):
        async def end():
            await s.opened()
            while await s.read():
                pass
        try:
            await asyncio.wait_for(end(), 10)
            expect(what, f"RESET {code}", "an end")
        except asyncio.TimeoutError:
            expect(what, f"RESET {code}", "an open stream")
            await s.break_off()
        except WasReset as e:
            expect(what, (code, text or e.text), (e.code, e.text))

    async def resets(self):
        s = await self.stream("reset")
        await s.write(b"x")
        await self.ends_with("the target's reset", s, t.WAS_RESET)
        await self.ends_with("a port that nobody has", await self.stream("closed"), t.REFUSED)
        s = await self.stream("echo")
        await s.write(b"y" * 100000)
        await s.break_off()
        await self.echo(100)

    async def refusals(self):
        """What is wrong with one OPEN, or one stream, costs that stream and nothing else."""
        opened = self.session.open
        here = {"host": "127.0.0.1", "port": self.ports["echo"]}
        token = os.urandom(16).hex()
        await self.ends_with("an unknown service", await opened(service="nobody-has-it"), t.NOT_FOUND)
        await self.ends_with("another protocol", await opened(**{**here, "protocol": "other"}), t.NOT_FOUND)
        await self.ends_with("a target that the agent does not allow", await opened(host="192.0.2.1", port=1), t.DENIED)
        await self.ends_with("received above 0", await opened(**here, received=7), t.NOT_FOUND)
        first = await opened(**here, token=token)
        await first.opened()
        await self.ends_with("a token that is open", await opened(**here, token=token), t.NOT_FOUND)
        await first.break_off()
        good = {"token": token, "protocol": "tcp", "host": "127.0.0.1", "port": 1}
        for what, body in {
            "no JSON": b"{]", "no object": b"[]", "no token": dense({"protocol": "tcp", "service": "x"}),
            "a host that is not ASCII": json.dumps({**good, "host": "m\u00fcller"}, ensure_ascii=False).encode(),
            "no UTF-8": b'{"x":"\xff"}', "a member twice": dense(good)[:-1] + b',"port":2}', "both targets": dense({**good, "service": "x"}),
            "a port of 0": dense({**good, "port": 0}), "a port that is text": dense({**good, "port": "1"}), "17 levels": b'{"x":' + b"[" * 17 + b"]" * 17 + b"}",
            "U+0000": dense({**good, "x": "\0"}), "a window below the least": dense({**good, "window": 8191}),
        }.items():
            await self.ends_with(f"OPEN, {what}", await self.session.open_with(body), t.PROTOCOL)
        s = await self.stream("echo")
        await s.opened()
        await self.session.send(s.frame(t.DATAGRAM, b"x"))
        await self.ends_with("DATAGRAM on a byte stream", s, t.PROTOCOL)
        for request in "make-tea", "publish", "withdraw":
            reply = await self.session.ask(request=request, kind="tcp", service="tea")
            expect(f"a client's request to {request}", False, reply.get("ok"))
        for n in range(40):
            self.session.ping()
        await self.echo(1)

    # the relay as a hop

    async def through_the_hop(self):
        token = os.urandom(16).hex()
        s = await self.session.open(service="mirror", token=token, received=0, abilities=["fly"])
        found = (await s.opened())["x-open"]
        await s.read_all()
        s.we_reset = True
        await self.session.send(s.frame(t.RESET, struct.pack(">I", t.CANCELLED)))
        expect("members that a hop does not know", {"a": [1, "b"]}, found.get("x-not-known"))
        expect("members of endpoints", (token, ["fly"], "mirror"), (found.get("token"), found.get("abilities"), found.get("service")))
        s = await self.session.open(service="ack-1000")
        await s.opened()
        await s.until(lambda: s.limit >= 10000)
        await s.write(b"x" * 10000)
        await s.until(lambda: s.acked >= 1000)
        await self.echo(1000)
        expect("acked, end to end", 1000, s.acked)
        await s.break_off()
        await self.ends_with("a code and its text", await self.session.open(service="reset-11"), t.WAS_RESET, "as it was said")
        t.IN_RESET.add(77)
        await self.ends_with("a code that is not in the table", await self.session.open(service="reset-77"), 77, "as it was said")
        return found["client"]

    async def run(self):
        idle = asyncio.ensure_future(self.idle())  # which mostly waits
        for n in (0, 1, 2, 100, 5000, 200000, 10000000):
            await self.echo(n)
            await self.echo(n, early=True)
            await self.hashed(n)
        await self.download()
        await self.datagrams()
        await self.resets()
        await self.refusals()
        await asyncio.gather(*(self.echo(self.session.rnd.choice((0, 1, 5000, 200000)), early=i % 2) for i in range(100)))
        await self.beside_slow()
        await idle


# ---- faults that end the session ----

def faults(own):
    """What to send on a session where the stream `own` is open and idle, to somebody who reads nothing."""
    def f(kind, number, body=b"", flags=0):
        return struct.pack(">BBHI", kind, flags, len(body), number) + body

    def q(*offsets):
        return struct.pack(f">{len(offsets)}Q", *offsets)
    five, end = f(t.DATA, own, b"12345"), f(t.EOF, own, q(5))
    good = dense({"token": os.urandom(16).hex(), "protocol": "tcp", "service": "x"})
    return {
        "an unknown type": f(14, 0), "type 0": f(0, 0), "a flag of PING": f(t.PING, 0, b"8bytes!!", 1), "a short PING": f(t.PING, 0, b"7bytes!"),
        "PING with an id": f(t.PING, own, b"8bytes!!"), "DATA without an id": f(t.DATA, 0, b"x"), "empty DATA": f(t.DATA, own),
        "a flag of DATA": f(t.DATA, own, b"x", 1), "an unknown flag of WINDOW": f(t.WINDOW, own, q(0, 1), 4),
        "an OPEN of 1 byte": f(t.OPEN, own + 2, b"{"), "an OPEN of 4097 bytes": f(t.OPEN, own + 2, b"{" + b" " * 4096),
        "an even id": f(t.OPEN, own + 1, good), "an id once more": f(t.OPEN, own, good), "a second HELLO": f(t.HELLO, 0, b"{}"),
        "DATA after EOF": five + end + five, "a second EOF": five + end + end, "a wrong final offset": five + f(t.EOF, own, q(6)),
        "acked beyond what was sent": f(t.WINDOW, own, q(1 << 40, 1 << 20)), "a limit of 2^63": f(t.WINDOW, own, q(0, 1 << 63)),
        "EOF_ACKED without EOF": f(t.WINDOW, own, q(0, 1 << 20), t.EOF_ACKED), "RETURNED without RETURN": f(t.WINDOW, own, q(0, 1 << 20), t.RETURNED),
        "RETURN below what was sent": five + f(t.RETURN, own, q(4)), "RETURN beyond the limit": f(t.RETURN, own, q(1 << 40)),
        "RETURN after EOF": five + end + f(t.RETURN, own, q(8197)),
        "DATA beyond the limit": f(t.DATA, own, bytes(t.OUR_DATA_MAX)) * 600,
    }


async def fault(login, ports, what):
    session = Session("connect", *login[1:])
    await session.start(login[0])
    s = await session.open(host="127.0.0.1", port=ports["stall"])
    await s.opened()
    s.sent = 1 << 40  # what it sends is not judged, and part of it may be acknowledged before the fault is met
    session.put(faults(s.id)[what])
    end = time.monotonic() + 15
    while not session.over and time.monotonic() < end:
        await asyncio.sleep(0.01)
    expect(f"{what} ends the session", True, session.over)
    if session.over:
        expect(f"{what}: the WebSocket's close code", 1000, session.ws.close_code)
        expect(f"{what}: GOAWAY, if any", True, session.goaway is None or session.goaway[0] == t.PROTOCOL)
    await session.drop()


async def text_message(login):
    session = Session("connect", *login[1:])
    await session.start(login[0])
    await session.ws.send("text")
    while not session.over:
        await asyncio.sleep(0.01)
    expect("a text message: the close code", 1003, session.ws.close_code)
    await session.drop()


async def other_path(url):
    try:
        await websockets.connect(url + "/not-here")
        expect("another path", 404, "a WebSocket")
    except websockets.InvalidHandshake as e:
        status = e.status_code if hasattr(e, "status_code") else e.response.status_code
        expect("another path", 404, status)


async def client(url, secret, agent, ports, file):
    wrong = Session("connect", agent, "not-the-secret-of-anybody")
    expect("a wrong secret", None, await wrong.start(url))
    expect("a wrong secret", t.DENIED, wrong.goaway and wrong.goaway[0])
    await wrong.drop()
    sessions = [Session("connect", agent, secret, seed=n) for n in range(2)]
    works = [Work(session, ports, file) for session in sessions]
    for session in sessions:
        if await session.start(url) is None:
            sys.exit(f"the relay refused us: {session.goaway}")
    await works[0].run()
    if agent == "theirs":
        expect("one client has one number", await works[0].through_the_hop(), await works[1].through_the_hop())
    for session in sessions:
        await session.close()
    if agent != "theirs":
        await other_path(url)
        await text_message((url, agent, secret))
        for what in faults(1):
            await fault((url, agent, secret), ports, what)


def main():
    url, secret_file, agent, ports, file = sys.argv[1:]
    with open(secret_file) as f:
        secret = f.read()
    asyncio.run(client(url, secret, agent, json.loads(ports), file))
    print(f"{len(t.violations)} violations, {len(failures)} failures", flush=True)
    sys.exit(1 if t.violations or failures else 0)


main()
