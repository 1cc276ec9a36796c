#!/bin/sh
# SPDX-License-Identifier: ISC
# `tunnel connect -L` forwards local ports to services and to host:port, many connections at once, half-close included.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_relay relay
start_tcp hash hash
hash_port=$tcp_port
start_tcp greet greet hello
start_agent pi --tcp "greet=127.0.0.1:$tcp_port"
start_connect forward -L 0=pi:greet -L "127.0.0.1:0=pi:127.0.0.1:$hash_port" -L "unix:$tmp/local=pi:greet" -D "unix:$tmp/socks=pi"
greet_local=$(json "$tmp/forward.ready" 'd["local"][0]["port"]')
hash_local=$(json "$tmp/forward.ready" 'd["local"][1]["port"]')

expect "a service" hello "$(socat -u "TCP:127.0.0.1:$greet_local" -)"
expect "a service by a Unix socket" hello "$(socat -u "UNIX-CONNECT:$tmp/local" -)"
expect "who may connect to it" 600 "$(stat -c %a "$tmp/local")"
expect "SOCKS by a Unix socket" 0500 "$(printf '\005\001\000' | socat -t 5 "UNIX-CONNECT:$tmp/socks" - | od -An -tx1 | tr -d ' \n')"
python3 - "$hash_local" <<'PYTHON'
import hashlib, os, socket, sys, threading
failures = []
def one(n):
    data = os.urandom(n)
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    got = s.makefile().read()
    if got != "%s %d\n" % (hashlib.sha256(data).hexdigest(), n):
        failures.append((n, got))
threads = [threading.Thread(target=one, args=(n,)) for n in [0, 1, 2, 100, 5000, 200000, 3000000] * 5]
[t.start() for t in threads]
[t.join() for t in threads]
assert not failures, failures
PYTHON

# It lives on when the agent is away for a moment, and says why a connection was closed.
stop pi
expect "no agent" "" "$(socat -u "TCP:127.0.0.1:$greet_local" - 2>/dev/null)"
wait_for "the reason" has_line "$tmp/forward.log" "agent pi is not connected"
start_agent pi --tcp "greet=127.0.0.1:$tcp_port"
expect "the agent is back" hello "$(socat -u "TCP:127.0.0.1:$greet_local" -)"
stop forward
expect "exit status" 0 "$code"
if exists "$tmp/local" || exists "$tmp/socks"; then fail "the Unix sockets were left behind"; fi
