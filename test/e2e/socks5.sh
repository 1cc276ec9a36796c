#!/bin/sh
# SPDX-License-Identifier: ISC
# `tunnel connect -D` is a SOCKS5 proxy for curl: names resolved at the agent, addresses of both families, refusals.
. "$(dirname "$0")/lib.sh"

start_relay relay
start_agent pi --allow 'localhost:*' --allow '127.0.0.0/8:*' --allow '[::1]:*'
start_connect socks -D 0=pi
port=$(json "$tmp/socks.ready" 'd["socks"][0]["port"]')

mkdir "$tmp/www"
make_data "$tmp/www/file" 3000000
start www python3 -c '
import functools, http.server, os, sys
h = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1] + "/www")
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), h)
open(sys.argv[1] + "/www.new", "w").write(str(s.server_port))
os.rename(sys.argv[1] + "/www.new", sys.argv[1] + "/www.port")
s.serve_forever()' "$tmp"
started_file www "$tmp/www.port"
www=$(cat "$tmp/www.port")

get() { curl -sS --max-time 20 -x "$1://127.0.0.1:$port" -o "$tmp/got" "$2"; }
get socks5h "http://localhost:$www/file" || fail "a name"
same_files "$tmp/www/file" "$tmp/got"
get socks5 "http://127.0.0.1:$www/file" || fail "an address"
same_files "$tmp/www/file" "$tmp/got"

# Nothing listens on the discard port; 192.0.2.1 is not allowed; both are told in SOCKS's own codes (curl's exit status 97).
exit_code get socks5h "http://127.0.0.1:9/"
expect "a refused connection" 97 "$code"
exit_code get socks5h "http://192.0.2.1:80/"
expect "a target that is not allowed" 97 "$code"

# Port 0 is refused here: the relay would take it for a breach of the protocol, and end the session with all its streams.
python3 - "$port" <<'PYTHON'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(20)
s.sendall(bytes.fromhex("050100" "05010001" "7f000001" "0000"))
got = b""
while True:
    b = s.recv(100)
    if not b:
        break
    got += b
assert got[:4] == bytes.fromhex("05000501"), got
PYTHON
get socks5h "http://localhost:$www/file" || fail "after a request for port 0"

# A proxy for SOCKS4, or for HTTP, it is not, and it survives being asked.
exit_code get socks4 "http://127.0.0.1:$www/file"
[ "$code" != 0 ] || fail "SOCKS4 was answered"
printf 'GET / HTTP/1.0\r\n\r\n' | socat -t 2 - "TCP:127.0.0.1:$port" >"$tmp/garbage" 2>/dev/null || true
get socks5h "http://localhost:$www/file" || fail "after garbage"

# Beyond loopback it is a proxy for everybody: allowed, but not in silence.
! has_line "$tmp/socks.log" "another machine" || fail "a warning about a port on loopback"
start_connect open -D 0.0.0.0:0=pi
has_line "$tmp/open.log" "-D 0.0.0.0:0=pi: whoever reaches this port from another machine" || fail "no warning: $(cat "$tmp/open.log")"
