#!/bin/sh
# SPDX-License-Identifier: ISC
# A peer that is sent away while it sends still learns why: GOAWAY and the WebSocket's Close arrive before the end of the connection, and
# the connection is not reset. Thousands that never close hold neither descriptors nor memory.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_relay_with_tls --threads 2 --connection-rate 1000000
main_port=$relay_port

# hostile.py KIND PORT CERTIFICATE N - N peers, one after the other, that make a mistake of this KIND and go on sending.
cat >"$tmp/hostile.py" <<'PYTHON'
import os, ssl, sys, time
from ws_client import frame, hello, mux, upgraded
kind, port, cert, n = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
MORE = bytes(2 << 20)
mistake, expected = {
    "frame": (frame(b"\xff" * 64), b"malformed frame"),
    "secret": (frame(mux(1, hello("agent", "pi", "wrong"))), b"wrong name or secret"),
    "websocket": (b"\x8b\x80\0\0\0\0", b"\x88"),
}[kind]
held = []
for i in range(n):
    s = upgraded(port, cert)
    # All at once: when the mistake is read the rest is there, or on its way, and nobody will read it.
    data = mistake + frame(MORE if n == 1 else bytes(20000))
    if n > 1:
        s.sendall(data)
        held.append(s)
        continue
    got = b""
    s.setblocking(False)
    end = time.monotonic() + 20
    closed = False
    while not closed:
        assert time.monotonic() < end, "the connection stays open: %r" % got
        try:
            if data:
                data = data[s.send(data):]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        try:
            d = s.recv(65536)
            got += d
            closed = not d
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            time.sleep(0.001)
    assert expected in got, got
    assert b"\x88" in got, "no Close: %r" % got
if n > 1:
    print(len(os.listdir("/proc/%s/fd" % sys.argv[5])))
PYTHON
for kind in frame frame frame websocket secret; do
	python3 "$tmp/hostile.py" $kind "$main_port" '' 1 || fail "$kind, plain"
	python3 "$tmp/hostile.py" $kind "$tls_port" "$tmp/tls.pem" 1 || fail "$kind, TLS"
done

# Who is turned away at the door learns it too, whatever it has sent before.
start_relay narrow --connection-rate 1
cat >"$tmp/often.py" <<'PYTHON'
import socket, sys
for i in range(20):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.settimeout(20)
    s.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 8000 + b"\r\n\r\n")
    got = b""
    while True:
        d = s.recv(65536)
        if not d:
            break
        got += d
    assert b" 404 " in got or b" 429 " in got, got
PYTHON
python3 "$tmp/often.py" "$relay_port" || fail "turned away without an answer"

# The bound: 128 for each worker (LOOP_ORPHANS_MAX).
n=1500
[ -z "${TUNNEL_SAN:-}" ] || n=600
before=$(rss_kib relay)
fds=$(python3 "$tmp/hostile.py" frame "$main_port" '' $n "$(pid_of relay)")
echo "$n hostile peers that stay: $fds descriptors, memory $before KiB before, $(rss_kib relay) after"
[ "$fds" -lt 400 ] || fail "descriptors are held"
[ -n "${TUNNEL_SAN:-}" ] || [ "$(rss_kib relay)" -lt $((before + 8000)) ] || fail "memory is held"
no_linger() { [ "$(find "/proc/$(pid_of relay)/fd" -lname 'socket:*' | wc -l)" -lt 10 ]; }
wait_for "the last of them to be closed" no_linger
