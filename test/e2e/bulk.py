# SPDX-License-Identifier: ISC
"""Bulk through an echo service: bulk.py PORT STREAMS BYTES KILL

Each of STREAMS connections sends BYTES pseudo-random bytes of its own at full speed and reads them back, compared by
checksum.  With KILL 1 every second one is reset in the middle, and every fourth reads nothing before that.
"""
import hashlib
import random
import socket
import struct
import sys
import threading

port, streams, total, kill = map(int, sys.argv[1:])
bad = []


def send(s, data):
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the reader tells


def one(i):
    data = random.Random(i * 1000003 + total).randbytes(total)
    s = socket.create_connection(("127.0.0.1", port), 60)
    t = threading.Thread(target=send, args=(s, data))
    t.start()
    dies = kill and i % 2 == 0
    h, n = hashlib.sha256(), 0
    while not (dies and n >= (total // 2 if i % 4 else 0)):
        b = s.recv(1 << 18)
        if not b:
            break
        h.update(b)
        n += len(b)
    if dies:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            s.shutdown(socket.SHUT_RDWR)  # wakes the sender
        except OSError:
            pass  # it has ended both ways
        s.close()
        t.join()
        return
    t.join()
    s.close()
    if n != total or h.digest() != hashlib.sha256(data).digest():
        bad.append("stream %d: %d of %d bytes, or wrong ones" % (i, n, total))


def guarded(i):
    try:
        one(i)
    except OSError as e:
        bad.append("stream %d: %s" % (i, e))


threads = [threading.Thread(target=guarded, args=(i,)) for i in range(streams)]
for t in threads:
    t.start()
for t in threads:
    t.join()
if bad:
    sys.exit("\n".join(bad))
