#!/bin/sh
# SPDX-License-Identifier: ISC
# A relay that is full, or says what we do not know yet, is tried again by agents and forwards; only standard input gives up.
. "$(dirname "$0")/lib.sh"

secrets
# A relay that greets everybody with GOAWAY and the code in the path.
start away python3 -c '
import base64, hashlib, os, socket, struct, sys
s = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1] + "/away.new", "w").write(str(s.getsockname()[1]))
os.rename(sys.argv[1] + "/away.new", sys.argv[1] + "/away.port")
while True:
    c, _ = s.accept()
    f = c.makefile("rb")
    code, key = int(f.readline().split()[1][1:]), b""
    while True:
        line = f.readline().strip()
        if line.lower().startswith(b"sec-websocket-key:"):
            key = line.split()[1]
        if not line:
            break
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    frame = struct.pack(">BBHII", 10, 0, 4 + 7, 0, code) + b"not now"
    c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
              accept + b"\r\n\r\n" + bytes([0x82, len(frame)]) + frame + bytes([0x88, 2, 3, 232]))
    f.read()
    c.close()
' "$tmp"
started_file away "$tmp/away.port"
at=ws://127.0.0.1:$(cat "$tmp/away.port")

LIMIT=7 PROTOCOL=8 UNKNOWN=77
for code in $LIMIT $UNKNOWN; do
	start "agent$code" "$TUNNEL_BIN" agent --relay "$at/$code" --name pi --secret-file "$tmp/agent.secret" --log-level debug
done
for code in $LIMIT $PROTOCOL $UNKNOWN; do
	relay_url=$at/$code
	start_connect "forward$code" -L 0=pi:ssh
done
for name in agent$LIMIT agent$UNKNOWN forward$LIMIT forward$PROTOCOL forward$UNKNOWN; do
	wait_for "$name to wait for its next attempt" has_line "$tmp/$name.log" "-> waiting"
	has_line "$tmp/$name.log" "not now" || fail "$name does not say why"
	! is_dead "$name" || fail "$name gave up"
done
for code in $LIMIT $PROTOCOL $UNKNOWN; do
	relay_url=$at/$code
	exit_code connect pi ssh </dev/null
	expect "exit status of standard input after code $code" 1 "$code"
	has_line "$tmp/err.log" "not now" || fail "$(cat "$tmp/err.log")"
done
