# SPDX-License-Identifier: ISC
"""Connections that are cut, seen by the programs at both ends: cut.py DIR CUT CONNECTION...

    DIR         for the clients' ready files and logs
    CUT         a shell command that cuts the connections, once bytes have passed on all of them; with $CLIENT, a client's process,
                it runs for each; or "target", for a reset by each target itself
    CONNECTION  "WAY TRAFFIC: ...":
      WAY       -L, -D, stdio (two pipes), inetd (one TCP socket): how the local program reaches the target; curl: by -L, and
                it is a real curl that reads a page without a length
      TRAFFIC   down       the target sends without end, the local program reads
                half       the same, after the local program has ended its direction
                up         the local program sends without end, the target reads
                half-up    the same, after the target has ended its direction
                idle       a few bytes each way, then nothing

Starts for each `$TUNNEL_BIN connect $CONNECT_OPTIONS` and a target that it reaches through the agent "pi". Prints a line for each:

    WAY TRAFFIC: LOCAL TARGET STATUS

what the local program and the target saw (end, reset, or nothing; of curl its exit status), and the client's exit status, "on" if
it goes on; "told" behind it, if that is all the user would notice (stdio, inetd) and the log says why.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

where, cut = sys.argv[1:3]
WAIT_S = 60
deadline = time.monotonic() + WAIT_S
options = os.environ["CONNECT_OPTIONS"].split()


def left():
    return max(deadline - time.monotonic(), 0.1)


class End:
    """One program's end of the connection: reads or sends in a thread, and remembers how it ended."""

    def __init__(self, rfd, wfd, sends):
        self.rfd, self.wfd, self.sends = rfd, wfd, sends
        self.saw, self.passed = "nothing", threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            self.send() if self.sends else self.receive()
        except OSError:
            self.saw = "reset"

    def send(self):
        while True:
            os.write(self.wfd, bytes(65536))

    def receive(self):
        while os.read(self.rfd, 1 << 20):
            self.passed.set()
        self.saw = "end"


class Curl:
    def __init__(self, port):
        self.saw, self.passed = "nothing", threading.Event()
        self.curl = subprocess.Popen(["curl", "-s", "http://127.0.0.1:%d/" % port], stdout=subprocess.PIPE)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while os.read(self.curl.stdout.fileno(), 1 << 20):
            self.passed.set()
        self.saw = "curl:%d" % self.curl.wait()


def reset_by(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


class Connection:
    def __init__(self, number, name):
        self.name, self.file = name, "%s/client-%d" % (where, number)
        self.way, self.traffic = name.split()
        self.log = open(self.file + ".log", "wb")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.rfd = self.wfd = self.local = None

    def start(self):
        """The client, which is not waited for."""
        self.port = str(self.listener.getsockname()[1])
        command = [os.environ["TUNNEL_BIN"], "connect", *options]
        if self.way in ("-L", "-D", "curl"):
            if os.path.exists(self.file + ".ready"):
                os.unlink(self.file + ".ready")
            where_to = ["-D", "0=pi"] if self.way == "-D" else ["-L", "0=pi:127.0.0.1:" + self.port]
            self.client = subprocess.Popen([*command, "--ready-file", self.file + ".ready", *where_to], stdout=self.log, stderr=self.log)
            return
        command += ["pi", "127.0.0.1", self.port]
        if self.way == "inetd":
            outside = socket.create_server(("127.0.0.1", 0))
            self.local = socket.create_connection(outside.getsockname())
            inside = outside.accept()[0]
            self.client = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=self.log)
            inside.close()
        else:
            self.client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
            self.rfd, self.wfd = self.client.stdout.fileno(), self.client.stdin.fileno()

    def reach(self):
        """The local program's side of a forward; of curl the port alone."""
        while not os.path.exists(self.file + ".ready"):
            assert self.client.poll() is None and left() > 1, "the client is not ready"
            time.sleep(0.02)
        with open(self.file + ".ready") as f:
            at = json.load(f)["socks" if self.way == "-D" else "local"][0]["port"]
        if self.way == "curl":
            self.near = Curl(at)
            return
        self.local = socket.create_connection(("127.0.0.1", at))
        if self.way == "-D":
            self.local.sendall(b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + struct.pack(">H", int(self.port)))
            assert self.local.recv(12, socket.MSG_WAITALL)[3] == 0, "SOCKS"

    def first_bytes(self):
        """A few each way: the connection stands at both ends.  Then the half-close."""
        if self.local is not None:
            self.rfd = self.wfd = self.local.fileno()
        os.write(self.wfd, b"hello")
        assert self.target.recv(5, socket.MSG_WAITALL) == b"hello"
        self.target.sendall(b"hello")
        got = b""
        while len(got) < 5:
            got += os.read(self.rfd, 5 - len(got))
        if self.traffic == "half":
            if self.local is not None:
                self.local.shutdown(socket.SHUT_WR)
            else:
                self.client.stdin.close()
            assert self.target.recv(1) == b""
        if self.traffic == "half-up":
            self.target.shutdown(socket.SHUT_WR)
            assert os.read(self.rfd, 1) == b""

    def begin(self):
        if self.way in ("-L", "-D", "curl"):
            self.reach()
        self.listener.settimeout(left())
        self.target = self.listener.accept()[0]
        if self.way == "curl":
            self.target.recv(65536)
            self.target.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        else:
            self.first_bytes()

    def flow(self):
        if self.way != "curl":
            self.near = End(self.rfd, self.wfd, self.traffic in ("up", "half-up"))
        self.far = End(self.target.fileno(), self.target.fileno(), self.traffic in ("down", "half"))
        self.reader = self.near if self.traffic in ("down", "half") else self.far

    def end(self):
        self.near.thread.join(left())
        if cut != "target":
            self.far.thread.join(left())
        try:
            # With standard input and output one connection is all that the client is there for; forwards end by a signal or a refusal.
            alone = self.way in ("stdio", "inetd")
            status = self.client.wait(left() if alone or "$CLIENT" in cut or "$CREDS" in cut else 0)
        except subprocess.TimeoutExpired:
            status = "on"
            self.client.kill()
            self.client.wait()
        told = " told" if alone and os.path.getsize(self.file + ".log") > 0 else ""
        print("%s: %s %s %s%s" % (self.name, self.near.saw, "-" if cut == "target" else self.far.saw, status, told))


def do_cut(c):
    if cut == "target":
        reset_by(c.target)
    else:
        subprocess.run(["sh", "-c", cut], env=dict(os.environ, CLIENT=str(c.client.pid)), check=True)


connections = [Connection(i, text.split(":")[0]) for i, text in enumerate(sys.argv[3:])]
for step in Connection.start, Connection.begin, Connection.flow:
    for c in connections:
        step(c)
for c in connections:
    assert c.traffic == "idle" or c.reader.passed.wait(left()), c.name + ": no bytes"
for c in connections if cut == "target" or "$CLIENT" in cut else connections[:1]:
    do_cut(c)
for c in connections:
    c.end()
