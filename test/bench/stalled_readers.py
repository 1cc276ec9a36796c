#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""stalled_readers - one download beside readers that have stopped, in one relay, agent and connect -L.

Each run starts the three anew, measures a download alone, lets the others come to a stop, and measures a second download beside them:

    nothing   20 connections that have read nothing, with small kernel buffers
    fast      20 that have read 1 MiB as fast as it came, and then stopped
    many      500 like "nothing"
    idle      1,000 that have read 1 MiB as fast as it came; nothing more is under way on them

With --public all of them are visitors of a public port of the relay, in place of connections of connect -L; with --http they are
visitors by host name, whose connection carries one request.

Passes (exit status 0) when each download beside them reaches --least (0.7) of its speed alone in every run.  Memory is the highest of all runs.
"""
import argparse
import socket
import statistics
import sys
import time

import rig

MIB = 1048576
SMALL = 4096  # SO_RCVBUF; the kernel takes the least it can
# name: connections, bytes that each reads at first, whether the service goes on sending, SO_RCVBUF
CASES = {"nothing": (20, 0, True, SMALL), "fast": (20, MIB, True, 0), "many": (500, 0, True, SMALL), "idle": (1000, MIB, False, 0)}


HOST = "pi.t.test"


def dial(address, way, n=0, rcvbuf=0):
    return rig.dial_http(address, HOST, n, rcvbuf) if way == "http" else rig.dial(address, "S", n, rcvbuf)


def download(address, way, secs):
    """MB/s after a short warm-up."""
    s = dial(address, way)
    rig.drop(s, until=time.monotonic() + 0.5)
    begin = time.monotonic()
    got = rig.drop(s, until=begin + secs)
    speed = got / (time.monotonic() - begin) / 1e6
    s.close()
    return speed


def start(r, way):
    """Where the service is reached."""
    for_relay = {"public": ["--ports", "20000-29999"], "http": ["--http", f"{rig.LO}:0", "--domain", "t.test"]}
    for_agents, for_clients = r.relay(*for_relay.get(way, []))
    service = r.service()
    for_agent = {"public": ["--tcp", f"auto={rig.LO}:{service}"], "http": ["--http", str(service)]}
    told = r.agent(f"ws://{rig.LO}:{for_agents}", service, *for_agent.get(way, []))
    if way == "http":
        return rig.LO, r.web_port
    if way == "public":
        return rig.LO, int(told["services"][0]["public"].rsplit(":", 1)[1])
    return rig.LO, r.connect(f"ws://{rig.LO}:{for_clients}")["local"][0]["port"]


def one_run(case, secs, peaks, way):
    n, first, goes_on, rcvbuf = CASES[case]
    with rig.Rig() as r:
        address = start(r, way)
        alone = download(address, way, secs)
        rig.settled(lambda: r.served()[0])
        others = []
        for _ in range(n):
            others.append(dial(address, way, 0 if goes_on else first, rcvbuf))
            if first:
                rig.drop(others[-1], first)
        rig.settled(lambda: r.served()[0])
        beside = download(address, way, secs)
        lost = sum(map(broken, others))
        for name, (pss, rss) in r.memory.peaks().items():
            peaks[name] = [max(x) for x in zip(peaks.get(name, (0, 0)), (pss, rss))]
        for s in others:
            s.close()
    return alone, beside, lost


def broken(s):
    """Whether it was reset; what has come for it stays."""
    return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=20)
    p.add_argument("--secs", type=float, default=1.5, help="length of one measured download")
    p.add_argument("--cases", default=",".join(CASES))
    p.add_argument("--least", type=float, default=0.7)
    p.add_argument("--calm", type=float, default=20, metavar="S", help="wait at most so long for an idle machine before each run")
    ways = p.add_mutually_exclusive_group()
    ways.add_argument("--public", dest="way", action="store_const", const="public", help="through a public port")
    ways.add_argument("--http", dest="way", action="store_const", const="http", help="by host name")
    args = p.parse_args()
    rig.prepare()
    rows, bad = [], 0
    for case in args.cases.split(","):
        ratios, alone, beside, peaks, lost = [], [], [], {}, 0
        for i in range(args.runs):
            calm = rig.calm(args.calm)
            a, b, gone = one_run(case, args.secs, peaks, args.way)
            alone.append(a), beside.append(b), ratios.append(b / a)
            lost += gone
            print(f"{case} {i + 1}/{args.runs}: {a:.0f} MB/s alone, {b:.1f} beside: {b / a:.3f}{'' if calm else ' (other programs ran, too)'}", file=sys.stderr, flush=True)
        bad += sum(x < args.least for x in ratios)
        rows.append([case, args.runs, f"{statistics.median(alone):.0f}", f"{statistics.median(beside):.1f}", f"{min(ratios):.3f}",
                     f"{statistics.median(ratios):.3f}", sum(x >= args.least for x in ratios), lost,
                     *("%.1f/%.1f" % tuple(peaks.get(k, (0, 0))) for k in ("relay", "agent", "connect"))])
    rig.table(["case", "runs", "alone MB/s", "beside MB/s", "least ratio", "median", f"runs >= {args.least}", "resets",
               "relay PSS/RSS MiB", "agent", "connect"], rows)
    sys.exit(1 if bad else 0)


main()
