# SPDX-License-Identifier: ISC
"""A server of datagrams, on a free port of 127.0.0.1, which it writes to PORT_FILE: udp.py PORT_FILE MODE [ARGUMENT...]

    echo               each comes back
    answer COUNT SIZE  each is answered by so many of that size
    count              each is answered by how many have come, and their bytes: "12 3456"
    picky              those that begin with "!" are answered by the port that they came from
"""
import os
import socket
import sys

port_file, mode, *rest = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
s.bind(("127.0.0.1", 0))
with open(port_file + ".new", "w") as f:
    f.write(str(s.getsockname()[1]))
os.rename(port_file + ".new", port_file)
n = size = 0
while True:
    data, who = s.recvfrom(65536)
    n, size = n + 1, size + len(data)
    if mode == "echo":
        s.sendto(data, who)
    elif mode == "count":
        s.sendto(b"%d %d" % (n, size), who)
    elif mode == "picky" and data.startswith(b"!"):
        s.sendto(b"%d" % who[1], who)
    elif mode == "answer":
        for _ in range(int(rest[0])):
            s.sendto(bytes(int(rest[1])), who)
