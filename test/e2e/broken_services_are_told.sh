#!/bin/sh
# SPDX-License-Identifier: ISC
# A service that resets its connection resets the client's; a client that is killed ends the service's; nothing stays open.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_relay relay
start_agent pi
start_tcp reset reset
exit_code sh -c "echo x | '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' pi 127.0.0.1 $tcp_port"
expect "exit status after a reset" 1 "$code"
has_line "$tmp/err.log" "reset" || fail "no reason: $(cat "$tmp/err.log")"
wait_for "the client's goodbye" has_line "$tmp/relay.log" "connect pi: says goodbye: ok"
start_connect forward -L "0=pi:127.0.0.1:$tcp_port"
python3 - "$(json "$tmp/forward.ready" 'd["local"][0]["port"]')" <<'PYTHON'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"x")
s.settimeout(20)
try:
    assert s.recv(1) == b"", "data"
    raise SystemExit("an orderly end in place of a reset")
except ConnectionResetError:
    pass
PYTHON

start_tcp hold hold
mkfifo "$tmp/in"
start client sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' pi 127.0.0.1 $tcp_port <'$tmp/in' >'$tmp/out'"
exec 3>"$tmp/in"
wait_for "the stream" has_line "$tmp/out" 127.0.0.1
stop client KILL
wait_for "the stream's end at the agent" has_line "$tmp/pi.log" "127.0.0.1:$tcp_port: closed by peer"
