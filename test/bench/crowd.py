#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""crowd - an ordinary visitor's latency by host name, in an idle relay and beside a crowd.

The crowd: idle connections that have had an answer each, from 100 addresses; attackers who send the head of a request byte by byte and
never end it, from 4 addresses, and come again when they are closed; readers who take nothing of an endless answer, from 20 addresses.
The visitor asks for 1 KiB, one request after the other, on a kept connection and on a new one for each.

Passes (exit status 0) when p50 and p99 of both stay within --most (3) times of the idle relay's.  Both are measured --runs times in turn
in fresh programs, and the median of the runs counts.
"""
import argparse
import multiprocessing
import socket
import statistics
import sys
import time

import rig

HOST = "pi.t.test"
BODY = 1024
ENDLESS = 0
SLOW_HEAD = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ".encode()


def ask(s):
    rig.get(s, HOST, BODY)
    rig.drop(s, BODY)


def kept(address, n):
    s = rig.dial_http(address, HOST, BODY)
    rig.drop(s, BODY)
    for _ in range(n):
        begin = time.perf_counter()
        ask(s)
        yield time.perf_counter() - begin
    s.close()


def new(address, n):
    for _ in range(n):
        begin = time.perf_counter()
        s = rig.dial_http(address, HOST, BODY)
        rig.drop(s, BODY)
        yield time.perf_counter() - begin
        s.close()


def quantiles(times):
    """p50 and p99 in ms."""
    cuts = statistics.quantiles(times, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def measure(address, n):
    return *quantiles(list(kept(address, n))), *quantiles(list(new(address, n)))


class Slow:
    """An attacker whose head never ends."""

    def __init__(self, address, source):
        self.address, self.source = address, source
        self.begin()

    def begin(self):
        self.s = socket.socket()
        self.s.bind((self.source, 0))
        self.s.connect(self.address)
        self.s.setblocking(False)
        self.sent = 0

    def step(self):
        """One byte more; how often it was closed."""
        try:
            if not ended(self.s, answer=True):
                self.s.send(SLOW_HEAD[self.sent:self.sent + 1] or b"x")
                self.sent += 1
                return 0
        except OSError:
            pass
        self.s.close()
        self.begin()
        return 1


def attack(address, n, closed):
    """A process of its own: each attacker sends ten bytes a second."""
    slow = [Slow(address, f"127.0.4.{i % 4 + 1}") for i in range(n)]
    while True:
        for a in slow:
            closed.value += a.step()
            time.sleep(0.1 / n)


def crowd(r, address, args):
    """Starts it: its sockets, its process, how often attackers were closed, KiB that an idle connection costs the relay."""
    before = r.memory.now_kib("relay")
    idle = [rig.dial_http(address, HOST, BODY, source=f"127.0.2.{i % 100 + 1}") for i in range(args.idle)]
    for s in idle:
        rig.drop(s, BODY)
    # Streams of the pool have left by then.
    time.sleep(5)
    each = (r.memory.now_kib("relay") - before) / max(args.idle, 1)
    stalled = [rig.dial_http(address, HOST, ENDLESS, 4096, f"127.0.5.{i + 1}") for i in range(args.stalled)]
    rig.settled(lambda: r.served()[0])
    closed = multiprocessing.Value("L", 0)
    p = multiprocessing.Process(target=attack, args=(address, args.slow, closed), daemon=True)
    p.start()
    # Until the first of them are closed, and come again.
    time.sleep(args.settle)
    return idle + stalled, p, closed, each


def one_run(args):
    with rig.Rig() as r:
        for_agents, _ = r.relay("--http", f"{rig.LO}:0", "--domain", "t.test", "--threads", str(args.threads), "--idle-timeout", "10m")
        service = r.service()
        r.agent(f"ws://{rig.LO}:{for_agents}", service, "--http", str(service))
        address = rig.LO, r.web_port
        alone = measure(address, args.requests)
        sockets, p, closed, each = crowd(r, address, args)
        beside = measure(address, args.requests)
        times = closed.value
        p.terminate()
        p.join()
        lost = sum(map(ended, sockets))
        for s in sockets:
            s.close()
    return alone, beside, each, times, lost


def ended(s, answer=False):
    """Whether the relay closed it, or answered."""
    s.setblocking(False)
    try:
        return s.recv(1, socket.MSG_PEEK) == b"" or answer
    except BlockingIOError:
        return False
    except OSError:
        return True


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--requests", type=int, default=3000, help="of each kind, in each measurement")
    p.add_argument("--idle", type=int, default=2000)
    p.add_argument("--slow", type=int, default=200)
    p.add_argument("--stalled", type=int, default=20)
    p.add_argument("--settle", type=float, default=11, metavar="S", help="how long the attackers are there before it is measured")
    p.add_argument("--threads", type=int, default=2, help="of the relay")
    p.add_argument("--most", type=float, default=3)
    p.add_argument("--calm", type=float, default=20, metavar="S", help="wait at most so long for an idle machine before each run")
    args = p.parse_args()
    rig.prepare()
    runs = []
    for i in range(args.runs):
        calm = rig.calm(args.calm)
        runs.append(one_run(args))
        print(f"{i + 1}/{args.runs}: {runs[-1]}{'' if calm else ' (other programs ran, too)'}", file=sys.stderr, flush=True)
    rows, worst = [], 0
    for k, name in enumerate(("kept p50", "kept p99", "new p50", "new p99")):
        alone, beside = (statistics.median(run[side][k] for run in runs) for side in (0, 1))
        worst = max(worst, beside / alone)
        rows.append([name, f"{alone:.3f}", f"{beside:.3f}", f"{beside / alone:.2f}"])
    rig.table(["latency", "alone ms", "in a crowd ms", "times"], rows)
    print(f"{args.idle} idle connections: {max(r[2] for r in runs):.1f} KiB of the relay for each; {sum(r[4] for r in runs)} of them and of the "
          f"stalled were closed; {args.slow} attackers were closed {sum(r[3] for r in runs)} times")
    sys.exit(1 if worst > args.most else 0)


main()
