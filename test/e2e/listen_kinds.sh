#!/bin/sh
# SPDX-License-Identifier: ISC
# --listen takes port 0, IPv6, unix:PATH and plain: beside TLS, several at once; what cannot be listened on is told.
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
make_cert relay localhost
start_relay relay --tls-cert "$tmp/relay.pem" --tls-key "$tmp/relay.key" \
	--listen 127.0.0.1:0 --listen '[::1]:0' --listen plain:127.0.0.1:0 --listen "unix:$tmp/sock"
expect "how many" 4 "$(json "$tmp/relay.ready" 'len(d["tunnel"])')"
expect "which speak TLS" "True True False True" "$(json "$tmp/relay.ready" '" ".join(str(t["tls"]) for t in d["tunnel"])')"
v6=$(json "$tmp/relay.ready" 'd["tunnel"][1]["port"]')
plain=$(json "$tmp/relay.ready" 'd["tunnel"][2]["port"]')
start_agent pi --ca "$tmp/relay.pem"
expect "TLS" hello "$(connect --ca "$tmp/relay.pem" pi 127.0.0.1 "$tcp_port" </dev/null)"
health() { curl -s --max-time 10 -o /dev/null -w '%{http_code}' "$@"; }
expect "IPv6" 200 "$(health -k "https://[::1]:$v6/health")"
expect "Unix socket" 200 "$(health -k --unix-socket "$tmp/sock" https://localhost/health)"
expect "plain" 200 "$(health "http://127.0.0.1:$plain/health")"
expect "plain is no TLS" 000 "$(health -k "https://127.0.0.1:$plain/health")"
relay_url=ws://127.0.0.1:$plain
expect "plain tunnel" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"
stop relay
! exists "$tmp/sock" || fail "the socket's file was left behind"

# A stale socket file is no obstacle, a living one is; so is a port in use.
python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])' "$tmp/sock"
start_relay again --listen "unix:$tmp/sock"
expect "Unix socket again" 200 "$(health --unix-socket "$tmp/sock" http://localhost/health)"
exit_code "$TUNNEL_BIN" relay --listen "unix:$tmp/sock"
[ "$code" != 0 ] || fail "a living socket was taken over"
start_relay third
for listen in "127.0.0.1:$relay_port" 127.0.0.1:99999 nonsense '[::1' "unix:$tmp/no/such/dir/sock"; do
	exit_code timeout 20 "$TUNNEL_BIN" relay --listen "$listen"
	case $code in 1 | 2) ;; *) fail "--listen $listen: exit status $code" ;; esac
	grep -q -F -- "$listen" "$tmp/err.log" || fail "--listen $listen is not named: $(cat "$tmp/err.log")"
done
