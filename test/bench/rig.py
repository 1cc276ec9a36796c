# SPDX-License-Identifier: ISC
"""What the measurements of this folder share: relay, agent and connect on ephemeral ports, a service that sends, sinks and echoes,
memory while it runs, a network namespace of its own, tables.

TUNNEL_BIN is the binary (default: the tree's own), TUNNEL_TOOLS the folder of what test/tools builds.  Everything that is started ends with
the script, by process id.  `python3 rig.py serve ...` is the service's process.

A connection to the service begins with a mode and a number, 9 bytes; the service answers with the mode, so that a client knows that
the whole path stands, and then:

    S n    sends n bytes, 0: without end          A n    answers each n bytes with one
    K 0    drops what comes                       R n    answers each byte with n bytes
    E 0    echoes

A request for /S/n, in HTTP, is answered with n bytes, 0: without end.
"""
import atexit
import concurrent.futures
import json
import mmap
import os
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
BIN = os.path.abspath(os.environ.get("TUNNEL_BIN", os.path.join(TREE, "tunnel")))
TOOLS = os.path.abspath(os.environ.get("TUNNEL_TOOLS", os.path.join(TREE, "build/test")))
LO = "127.0.0.1"
TCP_NOTSENT_LOWAT = 25  # linux/tcp.h
CHUNK = 256 * 1024
FILLER = bytes(range(256)) * (CHUNK // 256)
SECRET = "a-secret-of-this-measurement"
STATS = struct.Struct("QQ")  # what the service has sent in modes S and R, what it has dropped in modes K and A


class Failed(Exception):
    pass


def wait_for(what, test, limit_s=30, step_s=0.01):
    """Until test() is true; what it returned."""
    end = time.monotonic() + limit_s
    while True:
        found = test()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"waited {limit_s} s for {what}")
        time.sleep(step_s)


def settled(read, quiet_s=0.3, limit_s=30):
    """Waits until read() gives the same for quiet_s."""
    end = time.monotonic() + limit_s
    last, since = read(), time.monotonic()
    while time.monotonic() - since < quiet_s:
        if time.monotonic() > end:
            raise Failed(f"nothing settled in {limit_s} s")
        time.sleep(0.02)
        now = read()
        if now != last:
            last, since = now, time.monotonic()
    return last


# ---- the service ----

class Served:
    """One connection at the service."""

    def __init__(self, sock, ep, stats):
        self.sock, self.ep, self.stats = sock, ep, stats
        self.head, self.mode, self.n, self.owed, self.counted = b"", "", 0, 0, 0

    def count(self, which, n):
        values = list(STATS.unpack_from(self.stats))
        values[which] += n
        STATS.pack_into(self.stats, 0, *values)

    def want(self, events):
        self.ep.modify(self.sock.fileno(), events)

    def begin(self):
        """False: the connection has ended."""
        if self.head.startswith(b"GET "):
            return self.begin_http()
        got = self.sock.recv(9 - len(self.head))
        self.head += got
        if len(self.head) == 9 and not self.head.startswith(b"GET "):
            self.mode, self.n = chr(self.head[0]), struct.unpack(">Q", self.head[1:])[0]
            self.sock.send(self.head[:1])
            if self.mode == "S":
                self.owed = self.n or 1 << 62
                self.want(select.EPOLLIN | select.EPOLLOUT)
        return bool(got)

    def begin_http(self):
        """The rest of the head; a connection serves one request after the other."""
        got = self.sock.recv(65536)
        self.head += got
        if self.head.endswith(b"\r\n\r\n"):
            n = int(self.head.split(b" ", 2)[1][3:])
            self.sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (n or 1 << 60))
            self.head, self.owed = b"", n or 1 << 60
            self.want(select.EPOLLIN | select.EPOLLOUT)
        return bool(got)

    def readable(self, room):
        """False: the connection has ended."""
        if not self.mode:
            return self.begin()
        if self.mode == "K":
            got = self.sock.recv_into(room, CHUNK, socket.MSG_TRUNC)
            self.count(1, got)
            return got > 0
        data = self.sock.recv(CHUNK if self.mode != "R" else 1)
        if self.mode == "E":
            self.sock.sendall(data)
        elif self.mode == "A":
            self.count(1, len(data))
            self.counted += len(data)
            while self.counted >= self.n:
                self.counted -= self.n
                self.sock.send(b"a")
        elif self.mode == "R" and data:
            self.owed += self.n
            self.want(select.EPOLLIN | select.EPOLLOUT)
        return bool(data)

    def writable(self):
        sent = self.sock.send(FILLER[:self.owed])
        self.owed -= sent
        self.count(0, sent)
        if self.owed == 0:
            self.want(select.EPOLLIN)


def serve(port_file, stats_file, host):
    with open(stats_file, "r+b") as f:
        stats = mmap.mmap(f.fileno(), STATS.size)
    listener = socket.create_server((host, 0), backlog=4096)
    listener.setblocking(False)
    with open(port_file + ".new", "w") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(port_file + ".new", port_file)
    ep, served, room = select.epoll(), {}, bytearray(CHUNK)
    ep.register(listener.fileno(), select.EPOLLIN)
    while True:
        for fd, events in ep.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # 500 send buffers of 3 MB are more than all TCP may have (tcp_mem): then the kernel drops what comes, whose ever it is.
                sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1 << 18)
                ep.register(sock.fileno(), select.EPOLLIN)
                served[sock.fileno()] = Served(sock, ep, stats)
                continue
            c = served[fd]
            try:
                alive = not events & select.EPOLLERR
                if alive and events & (select.EPOLLIN | select.EPOLLHUP):
                    alive = c.readable(room)
                if alive and events & select.EPOLLOUT and c.owed:
                    c.writable()
            except BlockingIOError:
                continue
            except OSError:
                alive = False
            if not alive:
                del served[fd]
                c.sock.close()


def dial(address, mode, n=0, rcvbuf=0, limit_s=60):
    """A connection to the service, through whatever listens at address; the whole path stands."""
    s = socket.socket()
    if rcvbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    s.settimeout(limit_s)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        s.connect(address)
        s.sendall(mode.encode() + struct.pack(">Q", n))
        if s.recv(1) != mode.encode():
            raise Failed(f"no answer of the service in mode {mode}")
    except OSError as e:
        s.close()
        raise Failed(f"a connection in mode {mode}: {e}") from e
    return s


def get(s, host, n):
    """Asks on the connection for n bytes by host name; the answer's head has been read."""
    s.sendall(f"GET /S/{n} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        got = s.recv(1)
        if not got:
            raise Failed(f"the connection ended within the answer's head: {head!r}")
        head += got
    if not head.startswith(b"HTTP/1.1 200 "):
        raise Failed(f"another answer than 200: {head!r}")


def dial_http(address, host, n=0, rcvbuf=0, source=LO, limit_s=60):
    """A visitor's connection, which has asked for n bytes."""
    s = socket.socket()
    if rcvbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    s.settimeout(limit_s)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        s.bind((source, 0))
        s.connect(address)
        get(s, host, n)
    except OSError as e:
        s.close()
        raise Failed(f"a request for {n} bytes: {e}") from e
    except Failed:
        s.close()
        raise
    return s


def dial_many(n, *args):
    """n connections to the service, 32 at a time."""
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        return list(pool.map(lambda _: dial(*args), range(n)))


def drop(s, n=None, until=None, limit_s=60):
    """Reads and drops n bytes, or what comes until that time; how many came."""
    s.settimeout(limit_s)
    room, got = bytearray(CHUNK), 0
    while (n is None or got < n) and (until is None or time.monotonic() < until):
        try:
            k = s.recv_into(room, CHUNK if n is None else min(CHUNK, n - got), socket.MSG_TRUNC)
        except OSError as e:
            raise Failed(f"a download broke after {got} bytes: {e}") from e
        if k == 0:
            raise Failed(f"a download ended after {got} bytes")
        got += k
    return got


# ---- processes ----

class Memory(threading.Thread):
    """The highest PSS of each process, looked at ten times a second; RSS is the kernel's own high-water mark."""

    def __init__(self):
        super().__init__(daemon=True)
        self.pids, self.pss, self.over = {}, {}, threading.Event()
        self.start()

    def look(self):
        for name, pid in list(self.pids.items()):
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    kib = int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1])
            except (OSError, TypeError):
                continue
            self.pss[name] = max(self.pss.get(name, 0), kib)

    def run(self):
        while not self.over.wait(0.1):
            self.look()

    def now_kib(self, name):
        """RSS"""
        with open(f"/proc/{self.pids[name]}/status") as f:
            return int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M)[1])

    def rss_kib(self, name):
        with open(f"/proc/{self.pids[name]}/status") as f:
            return int(re.search(r"^VmHWM:\s+(\d+)", f.read(), re.M)[1])

    def peaks(self):
        """name -> (PSS, RSS) in MiB"""
        self.look()
        return {name: (self.pss[name] / 1024, self.rss_kib(name) / 1024) for name in self.pids}


class Rig:
    """One set of programs in a directory of its own: with Rig() as r: ..."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="tunnel-bench.")
        self.procs, self.memory = [], Memory()
        self.write("secret", SECRET)
        os.chmod(self.path("secret"), 0o600)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and kind is not KeyboardInterrupt:
            self.show_logs()
        self.stop()

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def show_logs(self):
        for name in sorted(os.listdir(self.dir)):
            if name.endswith(".log") and os.path.getsize(self.path(name)):
                with open(self.path(name), errors="replace") as f:
                    print(f"--- {name}\n" + "".join(f.readlines()[-20:]), file=sys.stderr)

    def spawn(self, name, cmd, watch=False):
        with open(self.path(name + ".log"), "a") as log:
            p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir)
        self.procs.append(p)
        if watch:
            self.memory.pids[name] = p.pid
        return p

    def ready(self, name, p):
        def there():
            if p.poll() is not None:
                raise Failed(f"{name} ended with {p.returncode} before it was ready")
            return os.path.exists(self.path(name + ".ready"))
        wait_for(name, there)
        with open(self.path(name + ".ready")) as f:
            return json.load(f)

    def tunnel(self, name, *args, level="warn"):
        """Starts a subcommand, waits for its ready file; the file's content."""
        p = self.spawn(name, [BIN, *args, "--ready-file", self.path(name + ".ready"), "--log-level", level], watch=True)
        return self.ready(name, p)

    def service(self, host=LO, name="service"):
        """Starts the service: its port. One of another name is a process of its own, and does not count."""
        with open(self.path(name + ".stats"), "wb") as f:
            f.write(bytes(STATS.size))
        me = os.path.abspath(__file__)
        p = self.spawn(name, [sys.executable, me, "serve", self.path(name + ".ready"), self.path(name + ".stats"), host])
        return self.ready(name, p)

    def served(self):
        """What the service has sent in modes S and R, what it has dropped in modes K and A, in bytes."""
        with open(self.path("service.stats"), "rb") as f:
            return STATS.unpack(f.read())

    def relay(self, *args, host=LO):
        """Starts the relay: its port for agents and its port for clients, which may be shaped apart. Two clients may log in, with the files "secret" and "secret.two"."""
        self.write("secret.two", SECRET + "-2")
        os.chmod(self.path("secret.two"), 0o600)
        creds = self.write("creds.json", json.dumps({"edge-agents": {"pi": SECRET}, "clients": {
            name: {"secret": secret, "agents": ["*"], "targets": ["svc", "echo"]} for name, secret in (("one", SECRET), ("two", SECRET + "-2"))}}))
        told = self.tunnel("relay", "relay", "--listen", f"{host}:0", "--listen", f"{host}:0", "--credentials", creds, *args)
        self.web_port = told["http"][0]["port"] if "http" in told else None
        return told["tunnel"][0]["port"], told["tunnel"][1]["port"]

    def agent(self, relay, service_port, *args):
        """Starts the agent: its ready file."""
        return self.tunnel("agent", "agent", "--relay", relay, "--name", "pi", "--secret-file", self.path("secret"),
                           "--tcp", f"svc={LO}:{service_port}", *args)

    def connect(self, relay, *args, name="connect", secret="secret"):
        """Starts connect -L to the service, and what else args say; its ready file."""
        return self.tunnel(name, "connect", "--relay", relay, "--secret-file", self.path(secret), "-L", "0=pi:svc", *args)

    def delay_link(self, name, net, ms):
        """A link that delays packets by ms each way: 10.9.NET.1 of this namespace is reached as 10.9.NET.2 over it."""
        self.spawn(name, [os.path.join(TOOLS, "delay"), name, str(ms)])

        def there():
            with open("/proc/self/net/dev") as f:
                return any(line.split(":")[0].strip() == name for line in f)
        wait_for(f"the link {name}", there)
        run(f"ip addr add 10.9.{net}.1/24 dev {name}", f"ip link set {name} txqueuelen 10000 up")

    def stop(self):
        self.memory.over.set()
        self.memory.join()
        for sig in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):  # the second one ends a drain
            for p in self.procs:
                if p.poll() is None:
                    p.send_signal(sig)
            end = time.monotonic() + 2
            while time.monotonic() < end and any(p.poll() is None for p in self.procs):
                time.sleep(0.02)
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- the script's surroundings ----

def busy_s():
    """CPU seconds that the machine has worked so far."""
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:]]
    return (sum(v[:8]) - v[3] - v[4]) / os.sysconf("SC_CLK_TCK")


def calm(limit_s):
    """Waits, at most so long, until the machine uses less than a tenth of a CPU; whether it is calm."""
    end = time.monotonic() + limit_s
    while True:
        before = busy_s()
        time.sleep(1)
        if busy_s() - before < 0.1:
            return True
        if time.monotonic() > end:
            return False


def group_nice(nice):
    """What the kernel's autogroups go by, if it has them."""
    try:
        with open("/proc/self/autogroup", "w") as f:
            f.write(str(nice))
    except OSError:
        pass  # it has none


def prepare(netns=False):
    """SIGTERM ends the script as an exception does, the limit of descriptors goes up, other programs of the machine count less (where that
    is allowed), and with netns the script runs again in a network namespace of its own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
        group_nice(-15)
        atexit.register(group_nice, 0)
    if not netns:
        return
    if "TUNNEL_BENCH_NETNS" not in os.environ:
        if os.geteuid() != 0:
            sys.exit("this needs root, for a network namespace of its own")
        os.environ["TUNNEL_BENCH_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]])
    run("ip link set lo up")


def run(*lines):
    for line in lines:
        subprocess.run(line.split(), check=True, stderr=subprocess.DEVNULL)


def table(head, rows):
    rows = [[str(c) for c in r] for r in [head, *rows]]
    width = [max(len(r[i]) for r in rows) for i in range(len(head))]
    for r in rows:
        print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, width))).rstrip())


if __name__ == "__main__" and sys.argv[1:2] == ["serve"]:
    serve(*sys.argv[2:5])
