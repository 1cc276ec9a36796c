#!/bin/sh
# SPDX-License-Identifier: ISC
# --trusted-proxy: behind nginx each client is who it is, in logs, to agents and in limits, and cannot pose as another; who is no trusted proxy is
# not believed.
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
start_relay relay --trusted-proxy 10.0.0.0/8 --trusted-proxy 127.0.0.9 --max-handshakes 40
direct_url=$relay_url
start_agent pi
start_nginx tells "proxy_bind 127.0.0.9; proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;"
tells_port=$nginx_port
start_nginx mute "proxy_bind 127.0.0.9; proxy_set_header X-Forwarded-For unknown;"
mute_port=$nginx_port
start_nginx stranger "proxy_bind 127.0.0.8; proxy_set_header X-Forwarded-For 203.0.113.7;"
stranger_port=$nginx_port

# through URL SOURCE OPTION... - a client there is logged in as coming from SOURCE, and the agent is told so.
through() {
	relay_url=$1 source=$2
	shift 2
	: >"$tmp/relay.log"
	: >"$tmp/pi.log"
	expect "the answer through $relay_url" hello "$(connect "$@" pi 127.0.0.1 "$tcp_port" </dev/null)"
	has_line "$tmp/relay.log" "client of pi: session opened from $source\$" || fail "$relay_url: not from $source"
	has_line "$tmp/pi.log" "stream $source -> " || fail "$relay_url: the agent is not told $source"
}
through "ws://127.0.0.1:$tells_port" '127\.0\.0\.1:0'
# What a client says itself stands to the left of what the proxy says.
through "ws://127.0.0.1:$tells_port" '127\.0\.0\.1:0' -H 'X-Forwarded-For: 203.0.113.7'
through "ws://127.0.0.1:$tells_port" '127\.0\.0\.1:0' -H 'X-Forwarded-For: 203.0.113.7, 10.1.2.3'
! has_line "$tmp/relay.log" "names no client" || fail "the relay complains of a good proxy"
through "ws://127.0.0.1:$mute_port" '127\.0\.0\.9:[0-9]*'
has_line "$tmp/relay.log" "127.0.0.9:[0-9]*: a trusted proxy that names no client" || fail "the relay does not say what it misses"
through "ws://127.0.0.1:$stranger_port" '127\.0\.0\.8:[0-9]*'
through "$direct_url" '127\.0\.0\.1:[1-9][0-9]*' -H 'X-Forwarded-For: 203.0.113.7'

# An address has a quarter of the places, through a proxy too: of 25 that do not log in 10 stay, and another address gets in.
cat >"$tmp/crowd.py" <<'PYTHON'
import selectors, socket, sys, time

sel, left = selectors.DefaultSelector(), 25
for i in range(left):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Forwarded-For: 198.51.100.1\r\n"
              b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    sel.register(s, selectors.EVENT_READ)
end = time.monotonic() + 5
while left > 10 and time.monotonic() < end:
    for key, _ in sel.select(1):
        if not key.fileobj.recv(4096):
            sel.unregister(key.fileobj)
            left -= 1
print(left, flush=True)
sys.stdin.read()
PYTHON
start_nginx inner "proxy_bind 127.0.0.9; proxy_set_header X-Forwarded-For \$http_x_forwarded_for;"
mkfifo "$tmp/hold"
start crowd sh -c "exec python3 '$tmp/crowd.py' $nginx_port <'$tmp/hold' >'$tmp/left'"
exec 3>"$tmp/hold"
counted() { [ -s "$tmp/left" ] || is_dead crowd; }
wait_for "the crowd" counted
expect "connections of one address that stay" 10 "$(cat "$tmp/left")"
through "ws://127.0.0.1:$tells_port" '127\.0\.0\.1:0'
exec 3>&-
