# SPDX-License-Identifier: ISC
"""Transfers that need no end of a stream, which http-network-relay does not carry: both sides know how many bytes there are.

    sized.py serve PORT_FILE                      the service, on a free port of 127.0.0.1
    sized.py run STREAMS UP DOWN COMMAND...       STREAMS at once, each on standard input and output of one run of COMMAND
    sized.py ping TIMES COMMAND...                one stream, TIMES 64 bytes to and fro

A stream says how many bytes come and how many are wanted, sends them, and gets the SHA-256 of what arrived, the bytes and their SHA-256. run checks both
and prints MB/s once all are open, ping prints the median of the round trips in us. A command that does not end by itself once its streams are through is ended.
"""
import asyncio
import contextlib
import hashlib
import os
import random
import statistics
import struct
import sys
import time

HEAD = struct.Struct(">QQ")
CHUNK = 1 << 16
WAIT_S = 100
noise = random.Random(1).randbytes(CHUNK + 4096)


def pieces(n):
    """n bytes, no two chunks the same."""
    for at in range(0, n, CHUNK):
        first = at // CHUNK % 4096
        yield noise[first:first + min(CHUNK, n - at)]


def digest(n):
    h = hashlib.sha256()
    for piece in pieces(n):
        h.update(piece)
    return h.digest()


async def write(writer, n):
    for piece in pieces(n):
        writer.write(piece)
        await writer.drain()


async def read(reader, n):
    h = hashlib.sha256()
    while n > 0:
        data = await reader.read(min(n, 1 << 18))
        if not data:
            raise EOFError(f"{n} bytes too few")
        h.update(data)
        n -= len(data)
    return h.digest()


async def answer(reader, writer):
    try:
        while True:
            up, down = HEAD.unpack(await reader.readexactly(HEAD.size))
            writer.write(await read(reader, up))
            await write(writer, down)
            writer.write(digest(down))
            await writer.drain()
    except (EOFError, OSError):
        pass
    writer.close()


async def serve(port_file):
    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=CHUNK, backlog=1024)
    with open(port_file + ".new", "w") as f:
        f.write(str(server.sockets[0].getsockname()[1]))
    os.rename(port_file + ".new", port_file)
    await server.serve_forever()


class Run:
    """One run of the command."""

    async def __aenter__(self):
        self.program = await asyncio.create_subprocess_exec(*self.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=CHUNK)
        return self

    def __init__(self, command):
        self.command = command

    async def transfer(self, up, down):
        self.program.stdin.write(HEAD.pack(up, down))
        sending = asyncio.ensure_future(write(self.program.stdin, up))
        if await self.program.stdout.readexactly(32) != digest(up):
            raise ValueError("what was sent arrived otherwise")
        await sending
        got = await read(self.program.stdout, down)
        if not await self.program.stdout.readexactly(32) == got == digest(down):
            raise ValueError("what came is not what was sent")

    async def __aexit__(self, *what):
        self.program.stdin.close()
        if self.program.returncode is None:
            try:
                await asyncio.wait_for(self.program.wait(), 0.3)
            except asyncio.TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self.program.terminate()
                await self.program.wait()


async def run(streams, up, down, command):
    all_open, n_open = asyncio.Event(), 0

    async def one():
        nonlocal n_open
        async with Run(command) as r:
            await asyncio.wait_for(r.transfer(64, 0), WAIT_S)
            n_open += 1
            if n_open == streams:
                all_open.set()
            await asyncio.wait_for(all_open.wait(), WAIT_S)
            began = time.monotonic()
            await asyncio.wait_for(r.transfer(up, down), WAIT_S)
            return time.monotonic() - began
    took = max(await asyncio.gather(*(one() for _ in range(streams))))
    print(f"{streams} streams, {up} up, {down} down: {streams * (up + down) / took / 1e6:.2f} MB/s")


async def ping(times, command):
    async with Run(command) as r:
        took = []
        for _ in range(times):
            began = time.monotonic()
            await asyncio.wait_for(r.transfer(64, 0), WAIT_S)
            took.append(time.monotonic() - began)
    print(f"round trip: {statistics.median(took) * 1e6:.0f} us")


def main():
    what, *rest = sys.argv[1:]
    if what == "serve":
        asyncio.run(serve(rest[0]))
    elif what == "run":
        asyncio.run(run(*map(int, rest[:3]), rest[3:]))
    else:
        asyncio.run(ping(int(rest[0]), rest[1:]))


main()
