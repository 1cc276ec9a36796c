#!/bin/sh
# SPDX-License-Identifier: ISC
# A public port of UDP that thousands of sources flood, each with one datagram, as whoever forges addresses can: those who really ask are
# answered meanwhile, memory stays as it is, and nobody gets more than three times what came in his name.
# limit: 180
. "$(dirname "$0")/lib.sh"

start_udp picky picky
picky=$udp_port
start_udp many answer 20 100
start_relay relay --ports "$(free_ports 4)"
start_agent pi --udp "picky=$picky;public=auto" --udp "many=$udp_port;public=auto"
public() { json "$tmp/pi.ready" "[s for s in d['services'] if s['service'] == '$1'][0]['public'].split(':')[1]"; }
memory() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(pid_of "$1")/status"; }

# A flood of 20,000 sources in 80 networks; beside it one who has asked before, and 40 who come now.
python3 - "$(public picky)" <<-'PY'
	import socket, sys, threading, time
	to = ("127.0.0.1", int(sys.argv[1]))
	def sock(host="127.0.0.1", port=0):
	    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	    s.bind((host, port))
	    s.connect(to)
	    return s
	def ask(s, wait=2.0):
	    s.settimeout(wait)
	    try:
	        s.send(b"!" * 10)
	        return s.recv(100)
	    except TimeoutError:
	        return None
	over = threading.Event()
	def flood():
	    begin = time.monotonic()
	    for n in range(20000):
	        with sock(f"127.1.{n % 80}.{n // 80 + 1}") as s:
	            s.send(bytes(100))
	        # No faster than 10,000 a second, which is twice of what is let in.
	        time.sleep(max(0, begin + n / 10000 - time.monotonic()))
	    over.set()
	mine = sock()
	who = ask(mine)
	assert who and ask(mine) == who, "not even without a flood"
	thread = threading.Thread(target=flood)
	thread.start()
	took, came, lost, newcomers = [], 0, 0, 0
	while not over.is_set():
	    begin = time.monotonic()
	    got = ask(mine)
	    took.append(time.monotonic() - begin)
	    lost += got is None
	    assert got in (None, who), "the flow of one who was proven was given away"
	    if newcomers < 40:
	        newcomers += 1
	        came += any(ask(sock("127.2.0.1"), 0.5) for _ in range(5))
	thread.join()
	took.sort()
	print(f"{len(took)} questions beside the flood, {lost} lost, median {took[len(took) // 2] * 1000:.1f} ms, longest {took[-1] * 1000:.1f} ms; "
	      f"{came} of {newcomers} newcomers answered")
	assert lost <= len(took) // 20 and came >= newcomers * 9 // 10
PY
[ "$(memory relay)" -lt 65536 ] || [ -n "$TUNNEL_SAN" ] || fail "the relay has $(memory relay) KiB"
[ "$(memory agent 2>/dev/null || memory pi)" -lt 65536 ] || [ -n "$TUNNEL_SAN" ] || fail "the agent has $(memory pi) KiB"

# 20 answers of 100 bytes for each question of 100: no source gets more than three, and a network no more than 1,000 a second of them.
python3 - "$(public many)" <<-'PY'
	import socket, sys, time
	to = ("127.0.0.1", int(sys.argv[1]))
	all = []
	for n in range(1, 255):
	    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	    s.bind((f"127.3.0.{n}", 0))
	    s.connect(to)
	    s.setblocking(False)
	    all.append(s)
	begin = time.monotonic()
	for s in all:
	    s.send(bytes(100))
	def heard(s):
	    n = 0
	    try:
	        while s.recv(1000):
	            n += 1
	    except BlockingIOError:
	        return n
	got, end = [0] * len(all), time.monotonic() + 15
	while sum(got) < 2 * len(all) and time.monotonic() < end:
	    got = [a + heard(s) for a, s in zip(got, all)]
	got = [a + heard(s) for a, s in zip(got, all)]
	print(f"{sum(got)} answers to {len(all)} questions")
	assert max(got) <= 3, max(got)
	assert sum(got) >= 2 * len(all), "too few"
PY
stop pi
stop relay
counts=$(sed -n 's/.*pi:picky (udp[^:]*:[0-9]*): \([0-9]* flows.*\)/\1/p' "$tmp/relay.log")
echo "$counts"
echo "$counts" | python3 -c '
import re, sys
n = [int(x) for x in re.findall(r"\d+", sys.stdin.read())]
flows, evicted, up, refused = n[0], n[1], n[2], n[4]
assert flows - evicted <= 2048, "more flows than there may be"
assert evicted > 0 or refused > 10000, "the table was never full"
assert up >= 15000, "the flood was none"' || fail "the counters"
many=$(sed -n 's/.*pi:many (udp[^:]*:[0-9]*): \([0-9]* flows.*\)/\1/p' "$tmp/relay.log")
echo "$many" | grep -q " [1-9][0-9]* held back" || fail "no answer was held back: $many"
