#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""udp_flood - a million datagrams at a paced rate through a public port of UDP, and where those are that did not arrive.

One source sends --count datagrams of --size bytes, --rate a second, to a port of the relay; behind the agent a sink counts which arrived, how
often, and in which order. Then relay and agent end, and their counters are read from their logs: each datagram that is missing must be in one of
them (the kernel's queue before the relay, the streams' queues, the sockets' buffers). Prints CPU and peak memory, too.

Passes (exit status 0) when everything is accounted for, nothing came twice, and no more than --loss percent is missing.
"""
import argparse
import json
import os
import re
import signal
import socket
import struct
import sys
import time

import rig

SO_RXQ_OVFL, SO_RCVBUFFORCE = 40, 33
SEQ = struct.Struct(">Q")
ME = os.path.abspath(__file__)


# ---- the sink ----

def sink(ready, count):
    """Until SIGTERM; then prints what came."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    s.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    s.bind((rig.LO, 0))
    seen, came, twice, late, last, missed, over = bytearray(count), 0, 0, 0, -1, 0, []
    signal.signal(signal.SIGTERM, lambda *_: over.append(1))
    with open(ready + ".new", "w") as f:
        json.dump({"port": s.getsockname()[1]}, f)
    os.rename(ready + ".new", ready)
    s.settimeout(0.2)
    while not over:
        try:
            data, control, _, _ = s.recvmsg(65536, 64)
        except TimeoutError:
            continue
        n = SEQ.unpack_from(data)[0]
        came += 1
        twice += seen[n]
        seen[n] = 1
        late += n < last
        last = n
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, SO_RXQ_OVFL):
                missed = struct.unpack("I", value)[0]
    print(json.dumps({"came": came, "twice": twice, "late": late, "missed": missed}), flush=True)


# ---- the source ----

def send(port, count, size, rate):
    """Returns how many were sent, and the seconds that it took."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((rig.LO, port))
    buf = bytearray(size)
    begin, n = time.monotonic(), 0
    while n < count:
        due = min(count, int((time.monotonic() - begin) * rate) + 1)
        while n < due:
            SEQ.pack_into(buf, 0, n)
            s.send(buf)
            n += 1
        time.sleep(0.0005)
    return n, time.monotonic() - begin


# ---- the account ----

def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        parts = f.read().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def last_number(path, pattern):
    with open(path) as f:
        found = re.findall(pattern, f.read())
    if not found:
        raise rig.Failed(f"{path} has no line like {pattern}")
    return int(found[-1])


def end(p):
    p.send_signal(signal.SIGTERM)
    p.wait(60)


def flood(args):
    with rig.Rig() as r:
        sink_p = r.spawn("sink", [sys.executable, ME, "--sink", r.path("sink.ready"), "--count", str(args.count)])
        sink_port = r.ready("sink", sink_p)["port"]
        with socket.socket() as free:
            free.bind((rig.LO, 0))
            public = free.getsockname()[1]
        relay = r.tunnel("relay", "relay", "--listen", f"{rig.LO}:0", "--insecure", "--ports", f"{public}-{public}", level="info")
        agent = r.tunnel("agent", "agent", "--relay", f"ws://{rig.LO}:{relay['tunnel'][0]['port']}", "--name", "pi",
                         "--secret-file", r.path("secret"), "--udp", f"{public}={rig.LO}:{sink_port}", level="info")
        pids = {"relay": relay["pid"], "agent": agent["pid"]}
        before = {name: cpu_s(pid) for name, pid in pids.items()}
        sent, took = send(public, args.count, args.size, args.rate)
        rig.settled(lambda: [cpu_s(pid) for pid in pids.values()], quiet_s=2)
        cpu = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
        peaks = {name: pss for name, (pss, _) in r.memory.peaks().items()}
        procs = {p.pid: p for p in r.procs}
        end(procs[pids["agent"]])
        end(procs[pids["relay"]])
        end(sink_p)
        with open(r.path("sink.log")) as f:
            came = json.loads(f.read())
        lost = {
            "refused by the relay": last_number(r.path("relay.log"), r"bytes\): (\d+) refused"),
            "the relay's socket": last_number(r.path("relay.log"), r"(\d+) more by the kernel"),
            "the relay's stream": last_number(r.path("relay.log"), r"(\d+) dropped here, \d+ more by the kernel"),
            "the agent": last_number(r.path("agent.log"), r"(\d+) dropped here"),
            "the sink's socket": came["missed"],
        }
        report(args, sent, took, came, lost, cpu, peaks)


def report(args, sent, took, came, lost, cpu, peaks):
    gone = sent - came["came"]
    unknown = gone - sum(lost.values())
    print(f"{sent} datagrams of {args.size} bytes in {took:.1f} s: {sent / took:.0f} a second, {sent * args.size * 8 / took / 1e6:.0f} Mbit/s")
    print(f"arrived {came['came']}, twice {came['twice']}, out of order {came['late']}, lost {gone} ({100 * gone / sent:.3f} %)")
    for where, n in lost.items():
        print(f"    {n:8} {where}")
    print(f"    {unknown:8} not accounted for")
    print("CPU " + ", ".join(f"{name} {s:.1f} s ({1e6 * s / sent:.1f} us each)" for name, s in cpu.items()) +
          "; peak memory " + ", ".join(f"{name} {mib:.0f} MiB" for name, mib in peaks.items()))
    if unknown != 0 or came["twice"] or 100 * gone > args.loss * sent:
        sys.exit("udp_flood: FAILED")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--count", type=int, default=1000000)
    p.add_argument("--size", type=int, default=1200)
    p.add_argument("--rate", type=int, default=20000)
    p.add_argument("--loss", type=float, default=1.0, help="percent that may be missing")
    p.add_argument("--sink", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.sink:
        sink(args.sink, args.count)
    else:
        flood(args)


main()
