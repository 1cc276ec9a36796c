#!/bin/sh
# SPDX-License-Identifier: ISC
# Towards a relay of http-network-relay our agent and our connect find out what it speaks, carry standard input and output, local ports, SOCKS and
# many streams at once, pass its refusals on, and come back after it has gone; nothing is sent that it must not get.
# limit: 300
. "$(dirname "$0")/lib.sh"

hnr=$here/hnr
start_their_relay() {
	secrets
	start relay /usr/bin/python3 "$hnr/network_relay.py" --port "${1:-0}" --port-file "$tmp/relay.port" --credentials-file "$tmp/creds.json"
	started_file relay "$tmp/relay.port"
	relay_url=ws://127.0.0.1:$(cat "$tmp/relay.port")
}

start_their_relay
agents=$relay_url/ws_for_edge_agents clients=$relay_url/ws_for_access_clients
make_data "$tmp/data" 500000

# A URL without a path: native first, then the other; said in the log.
start_agent pi
has_line "$tmp/pi.log" "answered 403.*trying the dialect http-network-relay at /ws_for_edge_agents" || fail "the agent does not say what it does"
start_tcp send send "$tmp/data"
send_port=$tcp_port
start_tcp echo echo

# The end of what the target says is that of the connection, after all of it.
connect pi 127.0.0.1 "$send_port" >"$tmp/got" </dev/null
same_files "$tmp/data" "$tmp/got"
# By the path, and by the name of the dialect; with a prefix that a reverse proxy would take away there is none.
native() { ! has_line "$tmp/err.log" "trying the dialect"; }
for more in "--relay $clients" "--dialect http-network-relay"; do
	# shellcheck disable=SC2086
	exit_code connect --log-level info $more pi 127.0.0.1 "$send_port" </dev/null
	expect "status with $more" 0 "$code"
	same_files "$tmp/data" "$tmp/out"
	native || fail "$more has tried native"
done
exit_code connect --dialect native pi 127.0.0.1 "$send_port" </dev/null
expect "status of native" 3 "$code"
exit_code connect --relay "$agents" pi 127.0.0.1 "$send_port" </dev/null
expect "status of an agent's path" 2 "$code"
has_line "$tmp/err.log" "that path is for agents; a client's path ends in /ws_for_access_clients" || fail "says: $(cat "$tmp/err.log")"

# refused STATUS WORDS ARGUMENT...
refused() {
	wanted=$1 words=$2
	shift 2
	exit_code connect "$@" </dev/null
	expect "status of $*" "$wanted" "$code"
	has_line "$tmp/err.log" "$words" || fail "$* says: $(cat "$tmp/err.log")"
}
refused 1 "refused: Error initiating connection: .*onnection refused" pi 127.0.0.1 1
refused 1 "not found: Agent not registered" nobody 127.0.0.1 1
refused 1 "not allowed" pi 192.0.2.1 1
refused 3 "refused: Invalid access client secret" --secret-file "$tmp/agent.secret" pi 127.0.0.1 1
refused 1 "not found: http-network-relay knows no services by name" pi ssh
refused 1 "the relay's protocol has no datagrams" pi 127.0.0.1 53 udp
exit_code "$TUNNEL_BIN" agent --relay "$relay_url" --name pi --secret-file "$tmp/client.secret" </dev/null
expect "status of an agent's wrong secret" 3 "$code"
has_line "$tmp/err.log" "does not know the name, or the secret is wrong" || fail "says: $(cat "$tmp/err.log")"
exit_code "$TUNNEL_BIN" agent --relay "$agents" --carriers 2 --name pi --secret-file "$tmp/agent.secret" </dev/null
expect "status of two carriers" 2 "$code"

# Local ports and SOCKS, 50 connections at once, each with a WebSocket of its own.
start_connect ports -L "0=pi:127.0.0.1:$tcp_port" -L "0=pi:127.0.0.1:1" -D 0=pi
local_port=$(json "$tmp/ports.ready" 'd["local"][0]["port"]')
shut_port=$(json "$tmp/ports.ready" 'd["local"][1]["port"]')
socks_port=$(json "$tmp/ports.ready" 'd["socks"][0]["port"]')
many() {
	python3 - "$1" 50 <<-'PYTHON'
		import os, socket, sys, threading
		port, n, bad = int(sys.argv[1]), int(sys.argv[2]), []
		def one():
		    data, got = os.urandom(60000), b""
		    with socket.create_connection(("127.0.0.1", port), 60) as s:
		        threading.Thread(target=s.sendall, args=(data,)).start()
		        while len(got) < len(data):
		            b = s.recv(65536)
		            if not b:
		                break
		            got += b
		    if got != data:
		        bad.append(len(got))
		threads = [threading.Thread(target=one) for _ in range(n)]
		[t.start() for t in threads]
		[t.join() for t in threads]
		sys.exit(bad and "streams came to %s bytes" % bad or 0)
	PYTHON
}
many "$local_port"
curl_socks() { curl -s -m 20 --socks5-hostname "127.0.0.1:$socks_port" "$@"; }
start_service web
expect "through SOCKS" web "$(curl_socks "http://127.0.0.1:$service_port/name")"
exit_code curl_socks http://127.0.0.1:1/
expect "status of curl for a port that is shut" 97 "$code"
# A target that refuses is a reset to the program, not an end.
python3 - "$shut_port" <<-'PYTHON' || fail "a refused target looks like an end"
	import socket, sys
	try:
	    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
	    sys.exit(s.recv(1) == b"")
	except ConnectionResetError:
	    pass
PYTHON

# A relay that goes away and comes back.
stop relay KILL
rm "$tmp/relay.port"
start_their_relay "${relay_url##*:}"
returned() { [ "$(grep -c ": connected to" "$tmp/pi.log")" -ge 2 ]; }
wait_for "the agent's return" returned
connect pi 127.0.0.1 "$send_port" >"$tmp/got" </dev/null
same_files "$tmp/data" "$tmp/got"
! grep -n VIOLATION "$tmp"/*.log || fail "see above"
