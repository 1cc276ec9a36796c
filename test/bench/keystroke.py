#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""keystroke - how long one byte takes to a service and back while others fill the link between relay and agent.

The link has 400 Mbit/s in each direction (tc htb in a network namespace). A byte goes out every 5 ms, whether the one before is back or not, and
its time counts from then; beside it:

    alone        nothing
    burst-up     100 streams of the same client that send 31 KiB each, all at once, and again when all of it has arrived
    burst-down   the same towards the client
    bulk-up      2,000 streams of another client that send without end
    bulk-down    the same towards that client

Passes (exit status 0) when p99 is at most --most (10) ms in each row.  Needs root, and tc.
"""
import argparse
import collections
import json
import mmap
import os
import select
import struct
import subprocess
import sys
import time

import rig

MBIT = 400
BURST = 31 * 1024
GAP_S = 0.005
CASES = ("alone", "burst-up", "burst-down", "bulk-up", "bulk-down")


# ---- the processes beside ----

def ping(port, secs):
    """One byte every GAP_S; prints the times it took, in ms, sorted."""
    s = rig.dial((rig.LO, int(port)), "E")
    s.setblocking(False)
    sent, took = collections.deque(), []
    begin = following = time.monotonic()
    end = begin + float(secs)
    while following < end or (sent and time.monotonic() < end + 10):
        now = time.monotonic()
        if following < end and now >= following:
            s.send(b"k")
            sent.append(following)
            following += GAP_S
        wait = following - time.monotonic() if following < end else 1
        if select.select([s], [], [], max(0, wait))[0]:
            now = time.monotonic()
            took += [(now - sent.popleft()) * 1000 for _ in s.recv(4096)]
    print(json.dumps({"ms": sorted(took), "missing": len(sent)}))


class Load:
    """Connections that are all open before the first byte of load."""

    def __init__(self, kind, port, n, arrived):
        up = kind.endswith("up")
        mode, size = {"burst-up": ("A", BURST), "burst-down": ("R", BURST), "bulk-up": ("K", 0), "bulk-down": ("R", 1 << 40)}[kind]
        self.socks = {s.fileno(): s for s in rig.dial_many(n, (rig.LO, port), mode, size)}
        self.ep, self.room, self.arrived = select.epoll(), bytearray(rig.CHUNK), arrived
        # What each connection has still to send, and still to get; a burst ends when nothing is left of either.
        if kind.startswith("burst"):
            self.out, self.back = (BURST, 1) if up else (1, BURST)
        else:
            self.out, self.back = (1 << 50, 1) if up else (1, 1 << 50)
        for s in self.socks.values():
            s.setblocking(False)
            self.ep.register(s.fileno(), select.EPOLLIN)

    def round(self):
        out, back = dict.fromkeys(self.socks, self.out), dict.fromkeys(self.socks, self.back)
        for fd in self.socks:
            self.ep.modify(fd, select.EPOLLIN | select.EPOLLOUT)
        left = len(self.socks)
        while left:
            for fd, events in self.ep.poll():
                s = self.socks[fd]
                if events & select.EPOLLOUT and out[fd]:
                    out[fd] -= s.send(rig.FILLER[:out[fd]])
                    if not out[fd]:
                        self.ep.modify(fd, select.EPOLLIN)
                if events & select.EPOLLIN:
                    got = s.recv_into(self.room, rig.CHUNK)
                    if not got:
                        sys.exit("a connection of the load has ended")
                    struct.pack_into("Q", self.arrived, 0, struct.unpack_from("Q", self.arrived)[0] + got)
                    back[fd] -= got
                    left -= not back[fd]


def load(kind, port, n, ready, stats):
    with open(stats, "r+b") as f:
        made = Load(kind, int(port), int(n), mmap.mmap(f.fileno(), 8))
    with open(ready + ".new", "w") as f:
        f.write("{}")
    os.rename(ready + ".new", ready)
    while True:
        made.round()


# ---- the measurement ----

def shape(port):
    rig.run("ip link set lo mtu 1500 gso_max_size 15000", "tc qdisc add dev lo root handle 1: htb default 1",
            "tc class add dev lo parent 1: classid 1:1 htb rate 100gbit")
    for i, way in enumerate(("sport", "dport")):
        rig.run(f"tc class add dev lo parent 1: classid 1:{i + 2} htb rate {MBIT}mbit burst 64k",
                f"tc filter add dev lo parent 1: protocol ip prio 1 u32 match ip {way} {port} 0xffff flowid 1:{i + 2}")


def arrived(r):
    """Bytes of the load that have come to their end."""
    with open(r.path("arrived"), "rb") as f:
        return r.served()[1] + struct.unpack("Q", f.read())[0]


def measure(case, args):
    with rig.Rig() as r:
        for_agents, for_clients = r.relay()
        # The echo is a process of its own, so that its loop does not wait for the load's.
        r.agent(f"ws://{rig.LO}:{for_agents}", r.service(), "--tcp", f"echo={rig.LO}:{r.service(name='echo')}")
        relay = f"ws://{rig.LO}:{for_clients}"
        told = r.connect(relay, "-L", "0=pi:echo")
        one, echo = (p["port"] for p in told["local"])
        two = r.connect(relay, name="other", secret="secret.two")["local"][0]["port"] if case.startswith("bulk") else one
        shape(for_agents)
        with open(r.path("arrived"), "wb") as f:
            f.write(bytes(8))
        try:
            me = os.path.abspath(__file__)
            if case != "alone":
                n = args.bursts if case.startswith("burst") else args.streams
                r.ready("load", r.spawn("load", [sys.executable, me, "--load", case, str(two), str(n), r.path("load.ready"), r.path("arrived")]))
                time.sleep(args.warm)
            before = arrived(r)
            told = subprocess.run([sys.executable, me, "--ping", str(echo), str(args.secs)], capture_output=True, text=True, check=True)
            moved = arrived(r) - before
        finally:
            rig.run("tc qdisc del dev lo root", "ip link set lo mtu 65536 gso_max_size 65536")
        return json.loads(told.stdout), moved / args.secs / 1e6, r.memory.peaks()


def main():
    if sys.argv[1:2] == ["--ping"]:
        return ping(*sys.argv[2:])
    if sys.argv[1:2] == ["--load"]:
        return load(*sys.argv[2:])
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cases", default=",".join(CASES))
    p.add_argument("--secs", type=float, default=10)
    p.add_argument("--warm", type=float, default=2, help="seconds of load before the first byte")
    p.add_argument("--bursts", type=int, default=100)
    p.add_argument("--streams", type=int, default=2000)
    p.add_argument("--most", type=float, default=10, metavar="MS")
    p.add_argument("--calm", type=float, default=20, metavar="S", help="wait at most so long for an idle machine before each row")
    args = p.parse_args()
    rig.prepare(netns=True)
    rows, bad = [], 0
    for case in args.cases.split(","):
        rig.calm(args.calm)
        told, speed, peaks = measure(case, args)
        ms = told["ms"] + [float("inf")] * told["missing"]
        at = [ms[min(len(ms) - 1, int(len(ms) * q))] for q in (0.5, 0.99, 1)]
        bad += at[1] > args.most
        rows.append([case, len(ms), *(f"{x:.2f}" for x in at), f"{speed:.1f}", *(f"{peaks[k][0]:.1f}" for k in ("relay", "agent", "connect"))])
        print(f"{case}: p99 {at[1]:.2f} ms", file=sys.stderr, flush=True)
    rig.table(["beside", "bytes", "p50 ms", "p99 ms", "most ms", "load MB/s", "relay PSS MiB", "agent", "connect"], rows)
    return sys.exit(1 if bad else 0)


main()
