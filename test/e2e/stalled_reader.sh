#!/bin/sh
# SPDX-License-Identifier: ISC
# One stream whose reader has stopped neither slows the others of its session nor fills anybody's memory.
# limit: 180
. "$(dirname "$0")/lib.sh"

start_relay relay
start_agent pi
start_tcp stall stall
stall=$tcp_port
make_data "$tmp/data" 100000000
start_tcp send send "$tmp/data"
start_tcp hash hash
hash=$tcp_port
start_connect forward -L "0=pi:127.0.0.1:$stall" -L "0=pi:127.0.0.1:$(cat "$tmp/send.port")" -L "0=pi:127.0.0.1:$hash"
local_port() { json "$tmp/forward.ready" "d['local'][$1]['port']"; }

# seconds that 100 MB take down and up through the same session
measure() {
	python3 - "$(local_port 1)" "$(local_port 2)" "$tmp/data" <<'PYTHON'
import hashlib, socket, sys, time
data = open(sys.argv[3], "rb").read()
began = time.monotonic()
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.shutdown(socket.SHUT_WR)
h, n = hashlib.sha256(), 0
while True:
    b = s.recv(1 << 18)
    if not b:
        break
    h.update(b)
    n += len(b)
assert h.digest() == hashlib.sha256(data).digest(), "down: %d bytes" % n
s = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
s.sendall(data)
s.shutdown(socket.SHUT_WR)
assert s.makefile().read().split()[0] == h.hexdigest(), "up"
print("%.2f" % (time.monotonic() - began))
PYTHON
}
free_time=$(measure)
peak_relay=$(peak_kib relay) peak_agent=$(peak_kib pi) peak_forward=$(peak_kib forward)

# Eight writers into services that never read, each with more than every window holds, while the others go on.
start writers python3 -c '
import socket, sys, threading
def fill():
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    try:
        for _ in range(200):
            s.sendall(bytes(1 << 20))
    except OSError:
        pass
for _ in range(8):
    threading.Thread(target=fill).start()
' "$(local_port 0)"
opened() { [ "$(grep -c -- "127.0.0.1:$stall: opened" "$tmp/pi.log")" = 8 ]; }
wait_for "the stalled streams" opened
stalled_time=$(measure)
stalled_time2=$(measure)
echo "100 MB down and up: $free_time s alone, $stalled_time and $stalled_time2 s beside eight stalled streams"
echo "memory at most (KiB), before and after: relay $peak_relay $(peak_kib relay), agent $peak_agent $(peak_kib pi), client $peak_forward $(peak_kib forward)"
python3 -c 'import sys; a, b, c = map(float, sys.argv[1:]); sys.exit(min(b, c) > a * 2 + 1)' \
	"$free_time" "$stalled_time" "$stalled_time2" || fail "the stalled streams slow the others"
[ -n "${TUNNEL_SAN:-}" ] || for name in relay pi forward; do
	[ "$(peak_kib $name)" -lt 200000 ] || fail "$name grew to $(peak_kib $name) KiB"
done
