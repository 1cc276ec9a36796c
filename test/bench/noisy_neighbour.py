#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""noisy_neighbour - what another client of the same agent notices of one that does what it can to be in the way.

The other one has a connection on which a byte goes out every 5 ms, and opens a new connection every 20 ms, sends a byte and gets it back. Beside it:

    idle        nothing
    open-reset  one session that opens streams and resets them at once, as fast as it can
    pings       one session, not logged in, that sends WebSocket pings as fast as it can
    sessions    13 sessions of one secret, each with as many streams as it gets
    memory      one session with 600 streams whose service sends without end, and which reads none of it

The neighbour is a process of its own that speaks the protocol by hand (PROTOCOL.md). Passes (exit status 0) when nothing of the other client's is
refused and both its p99 are at most --times (3) those of the idle row.
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import threading
import time

import rig

sys.path.insert(0, os.path.join(rig.TREE, "test", "e2e"))
import ws_client  # noqa: E402

HELLO, OPEN, DATA, RESET, PING, PONG = 1, 2, 4, 7, 11, 12
CASES = ("idle", "open-reset", "pings", "sessions", "memory")
ME = os.path.abspath(__file__)


# ---- the other client ----

def visit(port, secs):
    """A new connection every 20 ms; prints how long each took until its byte was back, in ms, sorted, and those that failed."""
    took, failed = [], []
    following = time.monotonic()
    end = following + float(secs)
    while following < end:
        time.sleep(max(0, following - time.monotonic()))
        try:
            with rig.dial((rig.LO, int(port)), "E", limit_s=20) as s:
                s.sendall(b"k")
                if s.recv(1) != b"k":
                    raise rig.Failed("the end before the byte")
            took.append((time.monotonic() - following) * 1000)
        except (rig.Failed, OSError) as e:
            failed.append(str(e))
        # One that took longer is followed at once, by one.
        following = max(following + 0.02, time.monotonic())
    print(json.dumps({"ms": sorted(took), "failed": failed}))


# ---- the neighbour ----

class Session:
    def __init__(self, port, secret):
        self.s, self.lock, self.at = ws_client.upgraded(port), threading.Lock(), 1
        self.s.settimeout(None)
        self.put(ws_client.mux(HELLO, ws_client.hello("connect", "pi", secret)))
        threading.Thread(target=self.read, daemon=True).start()

    def put(self, frames):
        with self.lock:
            self.s.sendall(ws_client.frame(frames))

    def need(self, n):
        while len(self.plain) < n:
            head = self.f.read(2)
            size = head[1] & 127
            if size >= 126:
                size = int.from_bytes(self.f.read(2 if size == 126 else 8), "big")
            if not head or head[0] & 15 == 8:
                return False
            self.plain += self.f.read(size)
        return True

    def read(self):
        """Answers pings; the rest is dropped."""
        self.f, self.plain = self.s.makefile("rb", 1 << 20), bytearray()
        while self.need(8):
            kind, _, size, _ = struct.unpack_from(">BBHI", self.plain)
            if not self.need(8 + size):
                break
            if kind == PING:
                self.put(ws_client.mux(PONG, bytes(self.plain[8:8 + size])))
            del self.plain[:8 + size]
        print("the relay has ended a session", flush=True)

    def open(self):
        body = b'{"token":"%032x","protocol":"tcp","service":"svc"}' % (id(self) << 32 | self.at)
        stream, self.at = self.at, self.at + 2
        return stream, ws_client.mux(OPEN, body, stream)


def noise(case, port, ready):
    if case == "pings":
        s = ws_client.upgraded(int(port))
        flood = ws_client.frame(b"", opcode=9) * 10000
        threading.Thread(target=lambda: [None for _ in iter(lambda: s.recv(1 << 20), b"")], daemon=True).start()
    else:
        n = 13 if case == "sessions" else 1
        sessions = [Session(int(port), rig.SECRET) for _ in range(n)]
    if case == "sessions":
        for x in sessions:
            for _ in range(4096):
                x.put(x.open()[1])
    if case == "memory":
        for _ in range(600):
            stream, frame = sessions[0].open()
            sessions[0].put(frame + ws_client.mux(DATA, b"S" + bytes(8), stream))
    with open(ready + ".new", "w") as f:
        f.write("{}")
    os.rename(ready + ".new", ready)
    sent, began = 0, time.monotonic()
    while case == "open-reset":
        frames = b""
        for _ in range(200):
            stream, frame = sessions[0].open()
            frames += frame + ws_client.mux(RESET, struct.pack(">I", 1), stream)
        sessions[0].put(frames)
        sent += 200
        if sent % 20000 == 0:
            print("%d OPENs, %.0f a second" % (sent, sent / (time.monotonic() - began)), flush=True)
    while case == "pings":
        s.settimeout(None)
        s.sendall(flood)
    threading.Event().wait()


# ---- the measurement ----

def p99(ms):
    return ms[min(len(ms) - 1, int(len(ms) * 0.99))] if ms else float("inf")


def measure(case, args):
    with rig.Rig() as r:
        port, _ = r.relay("--handshake-timeout", "600s")
        echo = r.service(name="echo")
        r.agent(f"ws://{rig.LO}:{port}", r.service(), "--tcp", f"echo={rig.LO}:{echo}")
        mine = r.connect(f"ws://{rig.LO}:{port}", "-L", "0=pi:echo", name="other", secret="secret.two")["local"][1]["port"]
        if case != "idle":
            r.ready("noise", r.spawn("noise", [sys.executable, ME, "--noise", case, str(port), r.path("noise.ready")]))
            time.sleep(args.warm)
        beside = [subprocess.Popen([sys.executable, *cmd, str(mine), str(args.secs)], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
                  for cmd in ((os.path.join(rig.HERE, "keystroke.py"), "--ping"), (ME, "--visit"))]
        # Without a connection there is nothing to measure: that is a refusal, too.
        ping, seen = (json.loads(p.communicate()[0] or '{"ms": [], "missing": 1}') for p in beside)
        if args.verbose:
            with open(r.path("noise.log") if case != "idle" else os.devnull) as f:
                print(f.read()[-500:], file=sys.stderr)
        return ping, seen, r.memory.peaks()


def main():
    if sys.argv[1:2] == ["--visit"]:
        return visit(*sys.argv[2:])
    if sys.argv[1:2] == ["--noise"]:
        return noise(*sys.argv[2:])
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cases", default=",".join(CASES), help="idle comes first in any case")
    p.add_argument("--secs", type=float, default=10)
    p.add_argument("--warm", type=float, default=2, help="seconds of noise before the other client begins")
    p.add_argument("--times", type=float, default=3)
    p.add_argument("--calm", type=float, default=20, metavar="S", help="wait at most so long for an idle machine before each row")
    p.add_argument("--verbose", action="store_true", help="what the neighbour says")
    args = p.parse_args()
    rig.prepare()
    rows, bad, idle = [], 0, None
    for case in ["idle", *(c for c in args.cases.split(",") if c != "idle")]:
        rig.calm(args.calm)
        ping, seen, peaks = measure(case, args)
        missing, failed = ping["missing"], len(seen["failed"])
        got = (p99(ping["ms"]) if not missing else float("inf"), p99(seen["ms"]))
        idle = idle or got
        bad += failed > 0 or any(g > args.times * i for g, i in zip(got, idle))
        rows.append([case, f"{got[0]:.2f}", f"{got[1]:.2f}", len(seen["ms"]), failed, *(f"{peaks[k][0]:.1f}" for k in ("relay", "agent"))])
        print(f"{case}: p99 {got[0]:.2f} and {got[1]:.2f} ms, {failed} refused {seen['failed'][:1]}", file=sys.stderr, flush=True)
    rig.table(["beside", "p99 byte ms", "p99 new ms", "new", "refused", "relay PSS MiB", "agent"], rows)
    return sys.exit(1 if bad else 0)


main()
