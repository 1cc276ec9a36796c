# SPDX-License-Identifier: ISC
"""A connection that is cut, seen by the programs at both ends: cut.py DIR WAY TRAFFIC CUT

    DIR      for the client's ready file and log
    WAY      -L, -D, stdio (two pipes), inetd (one TCP socket): how the local program reaches the target; curl: by -L, and
             it is a real curl that reads a page without a length
    TRAFFIC  down       the target sends without end, the local program reads
             half       the same, after the local program has ended its direction
             up         the local program sends without end, the target reads
             half-up    the same, after the target has ended its direction
             idle       a few bytes each way, then nothing
    CUT      a shell command that cuts the connection, once bytes have passed; $CLIENT is the client's process,
             or "target", for a reset by the target itself

Starts `$TUNNEL_BIN connect $CONNECT_OPTIONS` and a target that it reaches through the agent "pi". Prints one line:

    LOCAL TARGET STATUS

what the local program and the target saw (end, reset, or nothing; of curl its exit status), and the client's exit status, "on" if
it goes on.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

where, way, traffic, cut = sys.argv[1:5]
WAIT_S = 60
deadline = time.monotonic() + WAIT_S
options = os.environ["CONNECT_OPTIONS"].split()
log = open(where + "/client.log", "ab")


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
        n = 0
        while True:
            n += os.write(self.wfd, bytes(65536))
            # More than all the buffers on the way hold: the other end has read some of it.
            if n > 40 << 20:
                self.passed.set()

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


def start_client():
    """The client; the local program's descriptors for reading and writing, and its socket; with curl the local port alone."""
    port = str(listener.getsockname()[1])
    command = [os.environ["TUNNEL_BIN"], "connect", *options]
    if way in ("-L", "-D", "curl"):
        ready = where + "/client.ready"
        arguments = ["-D", "0=pi"] if way == "-D" else ["-L", "0=pi:127.0.0.1:" + port]
        p = subprocess.Popen([*command, "--ready-file", ready, *arguments], stdout=log, stderr=log)
        while not os.path.exists(ready):
            assert p.poll() is None and left() > 1, "the client is not ready"
            time.sleep(0.02)
        at = json.load(open(ready))["socks" if way == "-D" else "local"][0]["port"]
        if way == "curl":
            return p, at, None, None
        s = socket.create_connection(("127.0.0.1", at))
        if way == "-D":
            s.sendall(b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + struct.pack(">H", int(port)))
            assert s.recv(12, socket.MSG_WAITALL)[3] == 0, "SOCKS"
        return p, s.fileno(), s.fileno(), s
    command += ["pi", "127.0.0.1", port]
    if way == "inetd":
        outside = socket.create_server(("127.0.0.1", 0))
        s = socket.create_connection(outside.getsockname())
        inside = outside.accept()[0]
        p = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=log)
        inside.close()
        return p, s.fileno(), s.fileno(), s
    p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    return p, p.stdout.fileno(), p.stdin.fileno(), None


def first_bytes():
    """A few each way: the connection stands at both ends.  Then the half-close."""
    os.write(wfd, b"hello")
    assert target.recv(5, socket.MSG_WAITALL) == b"hello"
    target.sendall(b"hello")
    got = b""
    while len(got) < 5:
        got += os.read(rfd, 5 - len(got))
    if traffic == "half":
        if local is not None:
            local.shutdown(socket.SHUT_WR)
        else:
            client.stdin.close()
        assert target.recv(1) == b""
    if traffic == "half-up":
        target.shutdown(socket.SHUT_WR)
        assert os.read(rfd, 1) == b""


listener = socket.create_server(("127.0.0.1", 0))
client, rfd, wfd, local = start_client()
if way == "curl":
    near = Curl(rfd)
listener.settimeout(left())
target = listener.accept()[0]
if way == "curl":
    target.recv(65536)
    target.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
else:
    first_bytes()
    near = End(rfd, wfd, traffic in ("up", "half-up"))
far = End(target.fileno(), target.fileno(), traffic in ("down", "half"))
if traffic != "idle":
    reader = near if traffic in ("down", "half") else far
    assert reader.passed.wait(left()), "no bytes"
if cut == "target":
    reset_by(target)
else:
    subprocess.run(["sh", "-c", cut], env=dict(os.environ, CLIENT=str(client.pid)), check=True)
near.thread.join(left())
if cut != "target":
    far.thread.join(left())
try:
    # With standard input and output one connection is all that the client is there for; forwards end by a signal or a refusal.
    ends = way in ("stdio", "inetd") or "$CLIENT" in cut or "$CREDS" in cut
    status = client.wait(left() if ends else 0)
except subprocess.TimeoutExpired:
    status = "on"
    client.kill()
    client.wait()
print(near.saw, "-" if cut == "target" else far.saw, status)
