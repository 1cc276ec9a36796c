#!/bin/sh
# SPDX-License-Identifier: ISC
# Out of descriptors the relay says so, keeps its sessions and its listener, and goes on when some are free again.
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
secrets
start relay sh -c "ulimit -n 120; exec '$TUNNEL_BIN' relay --listen 127.0.0.1:0 --credentials '$tmp/creds.json' \
	--ready-file '$tmp/relay.ready' --connection-rate 1000000 --threads 2"
started_file relay "$tmp/relay.ready"
relay_port=$(json "$tmp/relay.ready" 'd["tunnel"][0]["port"]')
relay_url=ws://127.0.0.1:$relay_port
start_agent pi
start_connect forward -L "0=pi:127.0.0.1:$tcp_port"
local_port=$(json "$tmp/forward.ready" 'd["local"][0]["port"]')
greeting() { socat -u "TCP:127.0.0.1:$local_port" -; }
expect "before" hello "$(greeting)"

start hog python3 -c '
import socket, sys, threading
s = []
for i in range(400):
    try:
        s.append(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5))
    except OSError:
        pass
open(sys.argv[2], "w").close()
threading.Event().wait()
' "$relay_port" "$tmp/full"
wait_for "the table to be full" exists "$tmp/full"
wait_for "the relay to say so" has_line "$tmp/relay.log" "out of file descriptors"
expect "a session that is there" hello "$(greeting)"
[ "$(grep -c "out of file descriptors" "$tmp/relay.log")" -le 10 ] || fail "it says so too often"
kill -KILL "$(pid_of hog)"
again() { [ "$(connect pi 127.0.0.1 "$tcp_port" </dev/null 2>/dev/null)" = hello ]; }
wait_for "new clients to get in again" again
