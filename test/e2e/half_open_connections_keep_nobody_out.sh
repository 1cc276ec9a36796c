#!/bin/sh
# SPDX-License-Identifier: ISC
# One address keeps eight times as many connections half open as the relay has places for, each at another stage: agents of other addresses
# get in at their first attempt, twenty times, and the relay's descriptors stay bounded.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_relay relay --max-handshakes 100 --threads 2
cat >"$tmp/crowd.py" <<'PYTHON'
import selectors, socket, sys

port, want, full = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
UPGRADE = (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
STAGES = (b"", b"GET / HTTP/1.1\r\nHost", UPGRADE, UPGRADE + b"\x82\x88\0\0\0\0\1\0\0\x20")
sel, n, opened = selectors.DefaultSelector(), 0, 0
while True:
    while n < want:
        s = socket.socket()
        s.bind(("127.0.0.2", 0))
        s.connect(("127.0.0.1", port))
        s.sendall(STAGES[opened % len(STAGES)])
        s.setblocking(False)
        sel.register(s, selectors.EVENT_READ)
        n, opened = n + 1, opened + 1
        if opened == want + 200:
            open(full, "w").close()
    for key, _ in sel.select():
        try:
            if key.fileobj.recv(4096):
                continue
        except BlockingIOError:
            continue
        except ConnectionError:
            pass
        sel.unregister(key.fileobj)
        key.fileobj.close()
        n -= 1
PYTHON
start crowd python3 "$tmp/crowd.py" "$relay_port" 800 "$tmp/full"
started_file crowd "$tmp/full"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	start_agent pi
	! has_line "$tmp/pi.log" "next attempt" || fail "agent $i was kept out"
	stop pi
	rm "$tmp/pi.log"
done
! is_dead crowd || fail "the crowd has gone"
n=$(find "/proc/$(pid_of relay)/fd" -mindepth 1 | wc -l)
echo "the relay has $n descriptors"
# places, as many that are on their way out, and those whose refusal is still to be read
[ "$n" -lt 400 ] || fail "$n descriptors"
has_line "$tmp/relay.log" "dropped to make room for others (--max-handshakes)" || fail "the relay does not say so"
n=$(grep -c "to make room" "$tmp/relay.log")
[ "$n" -lt 60 ] || fail "$n lines about those who were dropped"
