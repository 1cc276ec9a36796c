#!/bin/sh
# SPDX-License-Identifier: ISC
# An agent's public ports: each form of --tcp, what the ready file and the log say, a refusal, what it gets after the relay's restart,
# and a relay that has no public ports at all.
. "$(dirname "$0")/lib.sh"

# visit PORT - what a visitor of that port reads.
visit() {
	python3 -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
s.shutdown(1)
print(s.makefile().read())' "$1"
}
range=$(free_ports 8)
first=${range%-*}
published() { json "$tmp/pi.ready" "[s['public'] for s in d['services'] if s['service'] == '$1'][0]"; }

start_tcp one greet one
one=$tcp_port
start_tcp two greet two
two=$tcp_port
python3 - "$tmp/unix" >"$tmp/unix.log" 2>&1 <<-'PYTHON' &
	import os, socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.bind(sys.argv[1] + ".new")
	s.listen()
	os.rename(sys.argv[1] + ".new", sys.argv[1])
	while True:
	    c = s.accept()[0]
	    c.sendall(b"unix")
	    c.close()
PYTHON
echo $! >"$tmp/unix.pid"
echo unix >>"$tmp/started"
wait_for "the Unix socket" exists "$tmp/unix"

start_relay relay --ports "$range"
start_agent pi --tcp "ssh=127.0.0.1:$one;public=$first" --tcp "$((first + 1))=$two" --tcp "auto=unix:$tmp/unix" \
	--tcp "private=$one" --tcp "$((first + 3))-$((first + 4))=127.0.0.1:9-10" --tcp "far=22;public=1"
expect "a port with a name" "127.0.0.1:$first" "$(published ssh)"
expect "a port alone" "127.0.0.1:$((first + 1))" "$(published $((first + 1)))"
expect "services" 5 "$(json "$tmp/pi.ready" 'len(d["services"])')"
expect "refused" "['far']" "$(json "$tmp/pi.ready" '[s["service"] for s in d["refused"]]')"
has_line "$tmp/pi.log" "published: tcp ssh (127.0.0.1:$one) at 127.0.0.1:$first\$" || fail "the log does not tell of ssh"
has_line "$tmp/pi.log" 'not published: tcp far (127.0.0.1:22): ' || fail "the log does not tell of far"
expect "through the port" one "$(visit "$first")"
expect "through the port alone" two "$(visit "$((first + 1))")"
auto=$(published auto)
expect "through the automatic port to a Unix socket" unix "$(visit "${auto#127.0.0.1:}")"
expect "a client's way" one "$(connect pi private </dev/null)"
expect "a client's way to what is published" one "$(connect pi ssh </dev/null)"

# What stands behind the target is the relay's to do.
stop pi
start_tcp echo echo
start_agent pi --tcp "open=$tcp_port;public=$first;proxy=v1;allow=127.0.0.1" --tcp "shut=$one;public=$((first + 1));deny=127.0.0.0/8"
said=$(visit "$first" | tr -d '\r')
case $said in
"PROXY TCP4 127.0.0.1 127.0.0.1 "*" $first") ;;
*) fail "the header before a visitor's bytes: $said" ;;
esac
exit_code visit "$((first + 1))"
expect "what a visitor gets who is denied" '' "$(tr -d '\n' <"$tmp/out")"
stop pi
start_agent pi --tcp "ssh=127.0.0.1:$one;public=$first" --tcp "auto=unix:$tmp/unix"
auto=$(published auto)

# The relay comes back, at the same address: everything is asked for again, and the automatic port is the same.
stop relay
start_relay relay --listen "127.0.0.1:$relay_port" --ports "$range"
opened() { [ "$(visit "$first" 2>/dev/null)" = one ] && [ "$(visit "${auto#127.0.0.1:}" 2>/dev/null)" = unix ]; }
wait_for "the ports to be there again" opened
expect "the automatic port" "$auto" "$(published auto)"
stop pi
[ ! -e "$tmp/pi.ready" ] || fail "the ready file is still there"

# A relay without public ports has words for that, and clients reach the services all the same.
stop relay
start_relay relay
start_agent pi --tcp "auto=$one"
expect "services of a relay without ports" 0 "$(json "$tmp/pi.ready" 'len(d["services"])')"
expect "a client's way" one "$(connect pi auto </dev/null)"
expect "refused by a relay without ports" "['auto']" "$(json "$tmp/pi.ready" '[s["service"] for s in d["refused"] if s["error"]]')"
