#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""long_path - one stream through the tunnel over long links, beside plain TCP over the same two links.

Client and relay, relay and agent are joined by a link each that delays every packet by --delay milliseconds in each direction (the tool
`delay`), so the round trip of each link is twice that, and the stream's four times.  The plain path has the same two links with one program
between them that copies; all sockets have the kernel's default buffers.  With --idle streams that have moved 1 MiB each stand beside.

Steady is the speed in the second half of the time, the ramp are the seconds until half a second has moved 0.9 of it; bytes count where they arrive.
Passes (exit status 0) when the median of steady is at least --least (0.8) of the plain one in each row.  Needs root.
"""
import argparse
import socket
import statistics
import sys
import threading
import time

import rig

MIB = 1048576
STEP_S = 0.05
LINKS = ("10.9.1.2", "10.9.2.2")


class Hop:
    """Accepts one connection, makes another one to the target, copies both ways."""

    def __init__(self, target):
        self.listener = socket.create_server(("0.0.0.0", 0))
        self.port = self.listener.getsockname()[1]
        self.target = target
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        near, _ = self.listener.accept()
        far = socket.create_connection(self.target)
        for s in near, far:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self.copy, args=(near, far), daemon=True).start()
        self.copy(far, near)

    @staticmethod
    def copy(src, dst):
        room = memoryview(bytearray(rig.CHUNK))
        try:
            while n := src.recv_into(room):
                dst.sendall(room[:n])
        except OSError:
            pass  # the measuring end has gone
        for s in src, dst:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other direction has done it


def plain(r, service):
    hop = Hop((LINKS[1], service))
    return LINKS[0], hop.port


def tunnel(r, service):
    for_agents, for_clients = r.relay(host="0.0.0.0")
    r.agent(f"ws://{LINKS[1]}:{for_agents}", service)
    return rig.LO, r.connect(f"ws://{LINKS[0]}:{for_clients}")["local"][0]["port"]


def push(s):
    try:
        while True:
            s.sendall(rig.FILLER)
    except OSError:
        pass  # closed: the time is over


def arrivals(r, address, way, secs):
    """[(seconds since the begin, bytes that have arrived)]"""
    s = rig.dial(address, "S" if way == "down" else "K")
    if way == "up":
        threading.Thread(target=push, args=(s,), daemon=True).start()
    begin, got, series = time.monotonic(), 0, [(0, 0)]
    while series[-1][0] < secs:
        if way == "down":
            got += rig.drop(s, until=time.monotonic() + STEP_S)
        else:
            time.sleep(STEP_S)
            got = r.served()[1]
        series.append((time.monotonic() - begin, got))
    s.close()
    return series


def judge(series):
    """(steady MB/s, seconds until then)"""
    half = next(x for x in series if x[0] >= series[-1][0] / 2)
    steady = (series[-1][1] - half[1]) / (series[-1][0] - half[0])
    width = round(0.5 / STEP_S)
    for a, b in zip(series, series[width:]):
        if (b[1] - a[1]) / (b[0] - a[0]) >= 0.9 * steady:
            return steady / 1e6, a[0]
    return steady / 1e6, series[-1][0]


def stand_idle(address, n):
    standing = rig.dial_many(n, address, "S", MIB)
    for s in standing:
        rig.drop(s, MIB)
    return standing


def measure(path, way, ms, idle, secs):
    with rig.Rig() as r:
        for net in 1, 2:
            r.delay_link(f"delay{net}", net, ms)
        service = r.service("0.0.0.0")
        address = path(r, service)
        standing = stand_idle(address, idle) if path is tunnel else []
        steady, ramp = judge(arrivals(r, address, way, secs))
        peaks = r.memory.peaks()
        for s in standing:
            s.close()
    return steady, ramp, peaks


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=3, help="of each path, by turns")
    p.add_argument("--secs", type=float, default=12)
    p.add_argument("--delay", default="25,100", metavar="MS,...", help="of each link, in each direction")
    p.add_argument("--idle", default="0,16", metavar="N,...", help="streams of the same session that were fast once")
    p.add_argument("--ways", default="down,up")
    p.add_argument("--least", type=float, default=0.8)
    p.add_argument("--calm", type=float, default=20, metavar="S", help="wait at most so long for an idle machine before each run")
    args = p.parse_args()
    rig.prepare(netns=True)
    rig.run("sysctl -qw net.ipv4.tcp_no_metrics_save=1")  # no run learns from the one before
    rows, bad = [], 0
    for ms in map(float, args.delay.split(",")):
        for way in args.ways.split(","):
            for idle in map(int, args.idle.split(",")):
                got, peaks = {plain: [], tunnel: []}, {}
                for i in range(args.runs):
                    for path in got:
                        rig.calm(args.calm)
                        steady, ramp, seen = measure(path, way, ms, idle, args.secs)
                        got[path].append((steady, ramp))
                        peaks = {k: max(v[0], peaks.get(k, 0)) for k, v in seen.items()} or peaks
                        print(f"{ms:g} ms {way} idle {idle} {i + 1}/{args.runs} {path.__name__}: {steady:.1f} MB/s after {ramp:.2f} s",
                              file=sys.stderr, flush=True)
                (p_mb, p_s), (t_mb, t_s) = ([statistics.median(x) for x in zip(*got[k])] for k in got)
                bad += t_mb < args.least * p_mb
                rows.append([f"2 x {ms:g} ms", way, idle, f"{p_mb:.1f}", f"{t_mb:.1f}", f"{t_mb / p_mb:.2f}", f"{p_s:.2f}", f"{t_s:.2f}",
                             *(f"{peaks[k]:.1f}" for k in ("relay", "agent", "connect"))])
    rig.table(["links", "way", "idle", "plain MB/s", "tunnel MB/s", "ratio", "plain ramp s", "tunnel ramp s", "relay PSS MiB", "agent", "connect"], rows)
    sys.exit(1 if bad else 0)


main()
