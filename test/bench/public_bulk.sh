#!/bin/sh
# SPDX-License-Identifier: ISC
# public_bulk - GIB (4) GiB through a web address and through a public port, down and up: the SHA-256 at both ends, MB/s, and the
# memory of relay and agent before, every GiB, and at most. Nothing is written to a disk.
# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

gib=${GIB:-4}
bytes=$((gib << 30))

# One pattern for all: a service that sends or hashes it, over HTTP or as it is, and a visitor that does the other half.
cat >"$tmp/bulk.py" <<'PYTHON'
import hashlib, os, socket, sys, threading
block = bytes(range(251)) * 4177  # about 1 MiB, and of no power of two

def send(s, n):
    h = hashlib.sha256()
    while n > 0:
        s.sendall(block[:n])
        h.update(block[:n])
        n -= min(n, len(block))
    return h.hexdigest()

def take(s, n, first=b""):
    h, left, room = hashlib.sha256(first), n - len(first), bytearray(1 << 20)
    while left > 0:
        k = s.recv_into(room, min(left, len(room)))
        if k == 0:
            sys.exit("cut")
        h.update(memoryview(room)[:k])
        left -= k
        if (left + k) >> 30 != left >> 30:
            print((n - left) >> 30, flush=True)
    return h.hexdigest()

def head(s):
    b = b""
    while b"\r\n\r\n" not in b:
        b += s.recv(65536)
    return b.split(b"\r\n\r\n", 1)

def serve(s, web):
    if web:
        first, rest = head(s)
        up, n = first.startswith(b"POST"), int(first.split(b" ")[1].strip(b"/"))
    else:
        line = b""
        while not line.endswith(b"\n"):
            line += s.recv(1)
        (up, n), rest = map(int, line.split()), b""
    if up:
        digest = take(s, n, rest).encode()
        s.sendall((b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" if web else b"") + digest)
    else:
        if web:
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (n + 64))
        s.sendall(send(s, n).encode())
    s.shutdown(socket.SHUT_WR)

if sys.argv[1] == "serve":
    l = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    open(sys.argv[2] + ".new", "w").write("%d %d\n" % tuple(s.getsockname()[1] for s in l))
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    def accept(s, web):
        while True:
            threading.Thread(target=serve, args=(s.accept()[0], web), daemon=True).start()
    threading.Thread(target=accept, args=(l[0], True), daemon=True).start()
    accept(l[1], False)
port, web, up, n = map(int, sys.argv[2:])
s, rest = socket.create_connection(("127.0.0.1", port)), b""
if web:
    s.sendall(b"%s /%d HTTP/1.1\r\nHost: pi.t.test\r\n%s\r\n" % (b"POST" if up else b"GET", n, b"Content-Length: %d\r\n" % n if up else b""))
else:
    s.sendall(b"%d %d\n" % (up, n))
if up:
    ours = send(s, n)
    rest = head(s)[1] if web else rest
else:
    rest = head(s)[1] if web else rest
    ours = take(s, n, rest)
    rest = b""
while len(rest) < 64:
    rest += s.recv(64 - len(rest)) or sys.exit("cut")
if rest.decode() != ours:
    sys.exit("the hashes differ")
PYTHON
start service python3 "$tmp/bulk.py" serve "$tmp/ports"
started_file service "$tmp/ports"
read -r web_service tcp_service <"$tmp/ports"

start_relay relay --log-level warn --http 127.0.0.1:0 --domain t.test --ports "$(free_ports 4)"
start_agent pi --log-level warn --http "$web_service" --tcp "bulk=127.0.0.1:$tcp_service;public=auto"
web_port=$(json "$tmp/relay.ready" 'd["http"][0]["port"]')
tcp_port=$(json "$tmp/pi.ready" "[s['public'] for s in d['services'] if s['kind'] == 'tcp'][0].split(':')[1]")

memory() { echo "relay $(rss_kib relay) agent $(rss_kib pi)"; }
for way in "web 1 $web_port" "port 0 $tcp_port"; do
	for up in 0 1; do
		# shellcheck disable=SC2086
		set -- $way
		begin=$(date +%s%N) seen="$(memory)"
		start "visitor$1$up" python3 "$tmp/bulk.py" visit "$3" "$2" "$up" "$bytes"
		done_gib=0
		until is_dead "visitor$1$up"; do
			# The reader tells of each GiB: the visitor, or with an upload the service.
			[ "$up" = 1 ] && log=$tmp/service.log || log=$tmp/visitor$1$up.log
			now=$(tail -n 1 "$log" 2>/dev/null)
			[ "${now:-0}" = "$done_gib" ] || seen="$seen; $now GiB $(memory)" done_gib=$now
			sleep "$POLL_S"
		done
		wait "$(pid_of "visitor$1$up")" || fail "$1 $up: $(cat "$tmp/visitor$1$up.log")"
		took=$((($(date +%s%N) - begin) / 1000000))
		: >"$tmp/service.log"
		echo "$1 $([ "$up" = 1 ] && echo up || echo down): $gib GiB, hashes equal, $((bytes / 1000 / took)) MB/s; KiB: $seen;" \
			"at most relay $(peak_kib relay) agent $(peak_kib pi)"
	done
done
