#!/bin/sh
# SPDX-License-Identifier: ISC
# A visitor who is slow, stands still or says nothing loses the connection when its time is over, the log says which time it was, and
# others are served meanwhile. A full table drops the oldest that waits.
# tsan: yes
# limit: 150
. "$(dirname "$0")/lib.sh"

start_service one
start_web --head-timeout 1s --body-timeout 1s --request-timeout 1s --answer-timeout 1s --idle-timeout 1s --upgrade-timeout 1s \
	--max-idle 40
start_agent pi --http "127.0.0.1:$service_port"

cat >"$tmp/slow.py" <<'PYTHON'
import socket
import sys
import time
from web_client import Cut, Visitor, expect

port = int(sys.argv[1])
HOST = "Host: pi.t.test\r\n"


def ends_like(v, statuses):
    """An answer with one of these statuses, or none, and then the end."""
    try:
        status = v.answer()[0]
    except Cut:
        status = 0
    if status not in statuses:
        raise SystemExit(f"FAILED: {status}, not one of {statuses}")


def trickle(v, data):
    """Byte by byte, for as long as it is allowed."""
    try:
        for c in data:
            v.send(bytes([c]))
            time.sleep(0.05)  # what is slow is what is tested
    except OSError:
        pass


def nothing_said():
    expect("nothing said", "end", Visitor(port).ends())


def head_by_bytes():
    v = Visitor(port)
    trickle(v, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200)
    ends_like(v, (0, 408))


def idle():
    v = Visitor(port)
    expect("before", 200, v.get("pi.t.test", "/name")[0])
    expect("idle", "end", v.ends())


def body_stops():
    v = Visitor(port)
    v.send(f"POST /hash HTTP/1.1\r\n{HOST}Content-Length: 10\r\n\r\nhalf")
    ends_like(v, (408,))
    expect("body stops", "end", v.ends())


def body_goes_on():
    """Slow in all, and never for long."""
    v = Visitor(port)
    v.send(f"POST /hash HTTP/1.1\r\n{HOST}Content-Length: 60\r\n\r\n")
    trickle(v, b"x" * 60)
    expect("a slow body", 200, v.answer()[0])


def no_answer():
    v = Visitor(port)
    v.send(f"GET /silent HTTP/1.1\r\n{HOST}\r\n")
    ends_like(v, (504,))


def nobody_reads():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", port))
    s.sendall(f"GET /big/100000000 HTTP/1.1\r\n{HOST}\r\n".encode())
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not a byte is read until the relay has broken it off.
    deadline = time.time() + 60
    while s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
        if time.time() > deadline:
            raise SystemExit("FAILED: an answer that nobody takes is not broken off")
        time.sleep(0.05)


def websocket():
    v = Visitor(port)
    v.send(f"GET /switch HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    expect("101", 101, v.head()[0])
    for _ in range(30):
        v.send("x")
        v.take(1)
        time.sleep(0.05)
    expect("a silent tunnel", "reset", v.ends())


def full_table():
    """The oldest that waits goes; one whose request is carried stays."""
    busy = Visitor(port)
    busy.send(f"GET /sse HTTP/1.1\r\n{HOST}\r\n")
    busy.head()
    waiting = [Visitor(port) for _ in range(60)]
    # While those that were told to go are still there, newcomers are told to come again.
    deadline = time.time() + 60
    while Visitor(port).get("pi.t.test", "/name")[0] != 200:
        if time.time() > deadline:
            raise SystemExit("FAILED: nobody new is served")
    expect("the oldest has gone", "end", waiting[0].ends())
    Visitor(port).get("pi.t.test", "/next")
    expect("who is served stays", b"data: 0", busy.take(int(busy.line(), 16))[:7])


for case in sys.argv[2:]:
    globals()[case]()
PYTHON
slow() { python3 "$tmp/slow.py" "$http_port" "$@" || fail "$*"; }
# over CASE LINE - what the log says of it.
over() {
	slow "$1"
	has_line "$tmp/relay.log" "$2" || fail "$1: no line \"$2\""
}

over nothing_said "no request within --head-timeout"
over head_by_bytes "no whole head within --head-timeout"
over idle "idle for --idle-timeout"
over body_stops "no byte of the body within --body-timeout"
slow body_goes_on
over no_answer "request .*/silent: 504, "
over nobody_reads "takes nothing of the answer within --answer-timeout"
over websocket "ended by relay: nothing has moved for too long"

# Somebody who is quick is served beside all of them.
for c in head_by_bytes body_stops no_answer nobody_reads; do
	start "$c" python3 "$tmp/slow.py" "$http_port" "$c"
done
for i in 1 2 3 4 5 6 7 8 9 10; do
	expect "beside the slow ones, $i" one "$(curl -sS --max-time 20 --resolve "*:$http_port:127.0.0.1" "http://pi.t.test:$http_port/name")"
done
for c in head_by_bytes body_stops no_answer nobody_reads; do
	wait_for "$c" is_dead "$c"
done

stop pi
stop relay
start_web --head-timeout 60s --max-idle 40
start_agent pi --http "127.0.0.1:$service_port"
over full_table "dropped to make room for others (--max-idle)"
