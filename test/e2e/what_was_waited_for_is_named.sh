#!/bin/sh
# SPDX-License-Identifier: ISC
# A relay or proxy that answers no connection is told with its address and the reason, not as a time that is over.
. "$(dirname "$0")/lib.sh"

secrets
# Its queue is full from the start: what dials is not refused and not let in.
cat >"$tmp/full.py" <<'PYTHON'
import os, signal, socket, sys
l = socket.create_server(("127.0.0.1", 0), backlog=0)
full = []
for _ in range(4):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(l.getsockname())
    full.append(s)
open(sys.argv[1] + ".new", "w").write(str(l.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
signal.pause()
PYTHON
start full python3 "$tmp/full.py" "$tmp/full.port"
started_file full "$tmp/full.port"
port=$(cat "$tmp/full.port")

start direct "$TUNNEL_BIN" connect --relay "ws://127.0.0.1:$port" --secret-file "$tmp/client.secret" pi ssh
start proxied "$TUNNEL_BIN" connect --relay ws://relay.test --proxy "http://127.0.0.1:$port" \
	--secret-file "$tmp/client.secret" pi ssh
for name in direct proxied; do
	wait_for "$name to give up" is_dead $name
	code=0
	wait "$(pid_of $name)" || code=$?
	expect "exit status of $name" 1 "$code"
	has_line "$tmp/$name.log" "cannot connect to 127.0.0.1:$port: .*timed out" || fail "$name: the reason is not named"
done
has_line "$tmp/proxied.log" proxy || fail "the proxy is not named"
