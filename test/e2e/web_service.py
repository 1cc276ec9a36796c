# SPDX-License-Identifier: ISC
"""A web service for the end-to-end tests that does one thing for each path: web_service.py PORT_FILE [NAME]

    /head       the head as it came                 /hash       "SHA256 BYTES\\n" of the body; trailers behind it
    /name       NAME                                /echo       the body, chunked, as it comes
    /chunked    ten chunks and a trailer            /close      a body that ends with the connection
    /none       204                                 /same       304 with a Content-Length
    /big/N      N bytes                             /sse        three events, each when the last one is read: see /next
    /continue   100 before the body is read         /hints      103, then 200
    /hints/much 240 KiB of 103, then 200 a while after
    /early      413 before the body is read         /reject     417 without 100
    /large      a head of 20 KiB                    /nothttp    "SSH-2.0-x"
    /silent     never an answer                     /stall      half an answer, then nothing
    /cut/length half of 100,000 bytes, then the end /cut/chunks the same, chunked
    /cut/reset  the same, then a reset
    /switch     101 to what was asked for, then echo
    /wrongswitch  101 to another protocol

Writes its port to PORT_FILE by rename and a line for each request to PORT_FILE.log: METHOD TARGET BODY-BYTES.
"""
import hashlib
import os
import socket
import struct
import sys
import threading
import time

port_file, name = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "service"
go_on = threading.Event()  # /next lets /sse and /stall go on


class End(Exception):
    pass


class Reader:
    def __init__(self, s):
        self.s, self.b = s, b""

    def more(self):
        got = self.s.recv(65536)
        if not got:
            raise End
        self.b += got

    def line(self):
        while b"\r\n" not in self.b:
            self.more()
        line, self.b = self.b.split(b"\r\n", 1)
        return line.decode("latin-1")

    def some(self, n):
        if not self.b:
            self.more()
        got, self.b = self.b[:n], self.b[n:]
        return got


def read_head(r):
    first, fields = r.line(), []
    while True:
        line = r.line()
        if line == "":
            return first, fields
        fields.append(line)


def field(fields, wanted):
    for f in fields:
        k, v = f.split(":", 1)
        if k.lower() == wanted:
            return v.strip()
    return None


def body(r, fields, trailers):
    """Yields the pieces of the body."""
    if (field(fields, "transfer-encoding") or "").lower() == "chunked":
        while True:
            n = int(r.line(), 16)
            if n == 0:
                break
            while n > 0:
                got = r.some(n)
                n -= len(got)
                yield got
            assert r.line() == ""
        while (line := r.line()) != "":
            trailers.append(line)
        return
    n = int(field(fields, "content-length") or 0)
    while n > 0:
        got = r.some(n)
        n -= len(got)
        yield got


def answer(s, status, data=b"", more=""):
    s.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n{more}\r\n".encode() + data)


def chunk(b):
    return b"%x\r\n%s\r\n" % (len(b), b)


def big(s, n, method):
    s.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n".encode())
    if method == "HEAD":
        return
    block = bytes(range(256)) * 256
    while n > 0:
        s.sendall(block[:n])
        n -= min(n, len(block))


def cut(s, how):
    head = "Content-Length: 100000" if how != "chunks" else "Transfer-Encoding: chunked"
    half = b"x" * 50000
    s.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + (chunk(half) if how == "chunks" else half))
    if how == "reset":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise End


def switch(s, r, to):
    s.sendall(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\n".encode())
    while True:
        s.sendall(r.some(65536))


def wait_next():
    go_on.wait(30)
    go_on.clear()


def sse(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
    for i in range(3):
        s.sendall(chunk(b"data: %d\n\n" % i))
        wait_next()
    s.sendall(b"0\r\n\r\n")


def hash_body(s, pieces, trailers):
    h, n = hashlib.sha256(), 0
    for p in pieces:
        h.update(p)
        n += len(p)
    text = "%s %d\n%s" % (h.hexdigest(), n, "".join(t + "\n" for t in trailers))
    answer(s, "200 OK", text.encode())


def echo(s, pieces):
    s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for p in pieces:
        s.sendall(chunk(p))
    s.sendall(b"0\r\n\r\n")


def serve_one(s, r):
    first, fields = read_head(r)
    method, target, _ = first.split(" ")
    trailers = []
    pieces = body(r, fields, trailers)
    n = 0
    if target == "/continue" and field(fields, "expect"):
        s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if target == "/early":
        answer(s, "413 Content Too Large", b"no\n", "Connection: close\r\n")
        raise End
    if target == "/reject":
        answer(s, "417 Expectation Failed", b"", "Connection: close\r\n")
        raise End
    if target in ("/hash", "/continue"):
        hash_body(s, pieces, trailers)
    elif target == "/echo":
        echo(s, pieces)
    else:
        n = sum(len(p) for p in pieces)
    with open(port_file + ".log", "a") as f:
        f.write(f"{method} {target} {n}\n")
    if target == "/head":
        answer(s, "200 OK", "\n".join([first] + fields + [""]).encode() if method != "HEAD" else b"")
    elif target == "/name":
        answer(s, "200 OK", name.encode() + b"\n")
    elif target == "/chunked":
        s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                  b"".join(chunk(b"piece %d\n" % i) for i in range(10)) + b"0\r\nX-Sum: 10\r\n\r\n")
    elif target == "/close":
        s.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end\n")
        raise End
    elif target == "/none":
        s.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    elif target == "/same":
        s.sendall(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: \"a\"\r\n\r\n")
    elif target.startswith("/big/"):
        big(s, int(target[5:]), method)
    elif target == "/sse":
        sse(s)
    elif target == "/next":
        go_on.set()
        answer(s, "200 OK")
    elif target == "/hints":
        s.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        answer(s, "200 OK", b"done\n")
    elif target == "/hints/much":
        for _ in range(16):
            s.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 15000 + b"\r\n\r\n")
            time.sleep(0.03)  # each is passed on by itself
        time.sleep(0.5)
        answer(s, "200 OK", b"done\n")
    elif target == "/large":
        answer(s, "200 OK", b"", "X-Large: " + "y" * 20000 + "\r\n")
    elif target == "/nothttp":
        s.sendall(b"SSH-2.0-x\r\n")
        raise End
    elif target == "/silent":
        r.more()
    elif target == "/stall":
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        r.more()
    elif target.startswith("/cut/"):
        cut(s, target[5:])
    elif target == "/switch":
        switch(s, r, field(fields, "upgrade") or "")
    elif target == "/wrongswitch":
        switch(s, r, "other")
    elif target not in ("/hash", "/continue", "/echo"):
        answer(s, "404 Not Found", b"no such path\n")


def serve(s):
    r = Reader(s)
    try:
        while True:
            serve_one(s, r)
    except (End, OSError):
        s.close()


def main():
    server = socket.create_server(("127.0.0.1", 0), backlog=256)
    with open(port_file + ".new", "w") as f:
        f.write(str(server.getsockname()[1]))
    open(port_file + ".log", "a").close()
    os.rename(port_file + ".new", port_file)
    while True:
        s, _ = server.accept()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(s,), daemon=True).start()


main()
