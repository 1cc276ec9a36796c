#!/bin/sh
# SPDX-License-Identifier: ISC
# A peer that is sent away while it sends still learns why: GOAWAY and the WebSocket's Close arrive before the end of the connection, and
# the connection is not reset. Thousands that never close hold neither descriptors nor memory.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_relay relay --threads 2 --connection-rate 1000000
make_cert tls localhost
main_port=$relay_port
start_relay tls --threads 2 --tls-cert "$tmp/tls.pem" --tls-key "$tmp/tls.key" --connection-rate 1000000

# hostile.py KIND PORT CERTIFICATE N - N peers, one after the other, that make a mistake of this KIND and go on sending.
cat >"$tmp/hostile.py" <<'PYTHON'
import base64, json, os, socket, ssl, struct, sys, time
kind, port, cert, n = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
MORE = bytes(2 << 20)
def ws(payload):
    n = len(payload)
    head = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else b"\xff" + struct.pack(">Q", n)
    return b"\x82" + head + b"\0\0\0\0" + payload
def mux(kind, body, stream=0):
    return struct.pack(">BBHI", kind, 0, len(body), stream) + body
def connected():
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    if cert:
        s = ssl.create_default_context(cafile=cert).wrap_socket(s, server_hostname="localhost")
    s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
              b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += s.recv(1)
    assert head.startswith(b"HTTP/1.1 101"), head
    return s
hello = json.dumps({"version": 1, "role": "agent", "name": "pi", "secret": "wrong", "instance": "00" * 16,
                    "keepalive_ms": 15000}).encode()
mistake, expected = {
    "frame": (ws(b"\xff" * 64), b"malformed frame"),
    "secret": (ws(mux(1, hello)), b"wrong name or secret"),
    "websocket": (b"\x8b\x80\0\0\0\0", b"\x88"),
}[kind]
held = []
for i in range(n):
    s = connected()
    # All at once: when the mistake is read the rest is there, or on its way, and nobody will read it.
    data = mistake + (ws(MORE) if n == 1 else ws(bytes(20000)))
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
	python3 "$tmp/hostile.py" $kind "$relay_port" "$tmp/tls.pem" 1 || fail "$kind, TLS"
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
