#!/bin/sh
# SPDX-License-Identifier: ISC
# Datagrams through `tunnel connect`: standard input and output, one for each read and write, and -L udp:, a flow for each source.
. "$(dirname "$0")/lib.sh"

# dgram COMMAND... - a line of Python on s, a socket of datagrams connected to port $2.
dgram() { python3 -c "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20)
s.connect(('127.0.0.1', $1)); $2"; }

start_udp echo echo
echo_port=$udp_port
start_udp count count
count_port=$udp_port
start_relay relay
start_agent pi

# ---- standard input and output ----

connect() { "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/client.secret" "$@"; }

# One read, one datagram: the server counts them; "" is what follows, at the end of input.
expect "two reads" "1 52 11" "$( (printf hello && wait_quietly 5 has_line "$tmp/out.two" 1 && printf worlds) |
	connect pi 127.0.0.1 "$count_port" udp | tee "$tmp/out.two")"
# A file is read no faster than it goes, in datagrams of the largest size.
make_data "$tmp/file" 150000
connect pi 127.0.0.1 "$echo_port" udp <"$tmp/file" >"$tmp/back"
same_files "$tmp/file" "$tmp/back"
# Nobody takes datagrams there, which the first one meets.
exit_code sh -c "printf x | '$TUNNEL_BIN' connect --relay '$relay_url' --secret-file '$tmp/client.secret' pi 127.0.0.1 $(free_port) udp"
expect "the status of a refusal" 1 "$code"
has_line "$tmp/err.log" "the target takes no datagrams" || fail "a refusal is not told"
# The agent's rules hold.
exit_code connect pi 192.0.2.1 53 udp
expect "the status of a denied target" 3 "$code"
exit_code connect pi 127.0.0.1 53 sctp
expect "the status of an unknown protocol" 2 "$code"

# ---- a local port ----

start_connect forward -L "udp:0=pi:127.0.0.1:$echo_port" -L "udp:[::1]:0=pi:127.0.0.1:$count_port"
port_of() { json "$tmp/forward.ready" "d['udp'][$1]['port']"; }
port=$(port_of 0)
for n in 0 1 1200 65507; do
	dgram "$port" "s.send(bytes($n)); assert s.recv(65536) == bytes($n)" || fail "a datagram of $n bytes"
done
# Sources do not mix.
python3 - "$port" <<-'EOF2' || fail "flows mix"
	import socket, sys
	all = []
	for n in range(200):
	    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	    s.settimeout(20)
	    s.connect(("127.0.0.1", int(sys.argv[1])))
	    s.send(b"%d" % n)
	    all.append(s)
	for n, s in enumerate(all):
	    assert s.recv(100) == b"%d" % n
EOF2
expect "answers over IPv6" "3 14" "$(printf six | socat -T 1 - "UDP6:[::1]:$(port_of 1)")"
# Without a relay datagrams are dropped, and the port stays.
stop relay KILL
# Again and again: lines about so many flows are limited, and this is one of them.
drop_is_told() { dgram "$port" "s.send(b'x')" && has_line "$tmp/forward.log" "a datagram is dropped"; }
wait_for "the drop to be told" drop_is_told
start_relay relay --listen "127.0.0.1:$relay_port"
answered() { dgram "$port" "s.settimeout(0.3); s.send(b'back'); assert s.recv(100) == b'back'" 2>/dev/null; }
wait_for "datagrams to go again" answered
stop forward
expect "the status of the end" 0 "$code"
exit_code connect -L "udp:unix:$tmp/sock=pi:dns"
expect "the status of a Unix socket" 2 "$code"
