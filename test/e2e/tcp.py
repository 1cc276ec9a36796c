# SPDX-License-Identifier: ISC
"""The private services of the end-to-end tests: tcp.py PORT_FILE MODE [ARGUMENT...]

    echo             sends back what it reads, ends when the other side has ended
    hash             reads to the end, then sends "SHA256 BYTES\\n": the answer comes after the peer's half-close
    send FILE        sends FILE and ends its direction at once, then reads to the end and appends "SHA256 BYTES\\n" to PORT_FILE.got
    swap FILE        sends FILE and reads to the end at the same time; then as send
    greet TEXT       sends TEXT and a newline, ends its direction, reads to the end
    stall            accepts and never reads
    reset            reads one byte, then closes with RST
    hold             accepts, writes "PEER\\n" with the peer's address, and stays until the other side ends; then "ended\\n" to PORT_FILE.got

Listens on a free port of 127.0.0.1, writes it to PORT_FILE by rename, serves each connection in a thread.
"""
import hashlib
import os
import socket
import struct
import sys
import threading

port_file, mode, args = sys.argv[1], sys.argv[2], sys.argv[3:]
CHUNK = 256 * 1024


def read_all(s):
    h, n = hashlib.sha256(), 0
    while True:
        b = s.recv(CHUNK)
        if not b:
            return "%s %d\n" % (h.hexdigest(), n)
        h.update(b)
        n += len(b)


def note(text):
    with open(port_file + ".got", "a") as f:
        f.write(text)


def send_file(s):
    with open(args[0], "rb") as f:
        while True:
            b = f.read(CHUNK)
            if not b:
                break
            s.sendall(b)
    s.shutdown(socket.SHUT_WR)


def echo(s):
    while True:
        b = s.recv(CHUNK)
        if not b:
            return
        s.sendall(b)


def serve(s):
    if mode == "echo":
        echo(s)
    elif mode == "hash":
        s.sendall(read_all(s).encode())
    elif mode == "send":
        send_file(s)
        note(read_all(s))
    elif mode == "swap":
        t = threading.Thread(target=send_file, args=(s,))
        t.start()
        got = read_all(s)
        t.join()
        note(got)
    elif mode == "greet":
        s.sendall((args[0] + "\n").encode())
        s.shutdown(socket.SHUT_WR)
        read_all(s)  # closing with unread bytes would be a reset
    elif mode == "stall":
        threading.Event().wait()
    elif mode == "reset":
        s.recv(1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif mode == "hold":
        s.sendall(("%s:%d\n" % s.getpeername()[:2]).encode())
        read_all(s)
        note("ended\n")
    s.close()


def guarded(s):
    try:
        serve(s)
    except OSError as e:
        print("connection: %s" % e, flush=True)
        s.close()


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    with open(port_file + ".new", "w") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(port_file + ".new", port_file)
    while True:
        s, _ = listener.accept()
        threading.Thread(target=guarded, args=(s,), daemon=True).start()


main()
