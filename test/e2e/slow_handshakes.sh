#!/bin/sh
# SPDX-License-Identifier: ISC
# Two thousand connections that never finish their handshake, plain and TLS: each ends at the deadline, others get in meanwhile.
# limit: 180
. "$(dirname "$0")/lib.sh"

n=1000
start_tcp greet greet hello
make_cert relay localhost
start_relay relay --tls-cert "$tmp/relay.pem" --tls-key "$tmp/relay.key" --listen 127.0.0.1:0 --listen plain:127.0.0.1:0 \
	--handshake-timeout 6s
plain=$(json "$tmp/relay.ready" 'd["tunnel"][1]["port"]')
relay_url=ws://127.0.0.1:$plain
start_agent pi
before=$(rss_kib relay)
cat >"$tmp/slow.py" <<'PYTHON'
import os, resource, select, socket, sys, time
tls, plain, n, held = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
socks = {}
p = select.poll()
for i in range(n):
    for port, data in ((plain, b"GET / HTTP/1.1\r\nHost"), (tls, bytes.fromhex("1603010200010001fc0303"))):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(data)
        s.setblocking(False)
        socks[s.fileno()] = s
        p.register(s, select.POLLIN)
open(held, "w").close()
deadline = time.monotonic() + 60
while socks and time.monotonic() < deadline:
    for fd, _ in p.poll(1000):
        s = socks[fd]
        try:
            if s.recv(4096):
                continue
        except ConnectionError:
            pass
        except BlockingIOError:
            continue
        p.unregister(fd)
        socks.pop(fd).close()
sys.exit("%d connections are still open" % len(socks) if socks else 0)
PYTHON
start slow python3 "$tmp/slow.py" "$relay_port" "$plain" $n "$tmp/held"
wait_for "the connections" exists "$tmp/held"
held=$(rss_kib relay)
expect "another client meanwhile" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"
slow_is_done() { is_dead slow; }
wait_quietly 80 slow_is_done || fail "the connections do not end"
stop slow 0
expect "exit status of the slow client" 0 "$code"
expect "another client afterwards" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"
echo "memory (KiB): before $before, with $((2 * n)) half handshakes $held, after $(rss_kib relay)"
[ -n "${TUNNEL_SAN:-}" ] || [ "$held" -lt $((before + 100 * n)) ] || fail "a half handshake costs too much"
