#!/bin/sh
# SPDX-License-Identifier: ISC
# A ws:// dial that a TLS port answers, and a wss:// dial that plain HTTP answers, say which scheme to use; an answer that asks to
# come later is told with its time, and is dialled again.
. "$(dirname "$0")/lib.sh"

cd "$tmp"
make_cert relay localhost 127.0.0.1
start_relay plain
plain_port=$relay_port
start_relay secure --tls-cert "$tmp/relay.pem" --tls-key "$tmp/relay.key"
secure_port=$relay_port

# says WHAT PATTERN - the last dial failed, and with these words.
says() {
	expect "exit status of $1" 1 "$code"
	has_line "$tmp/err.log" "$2" || fail "$1: $(cat "$tmp/err.log")"
}

relay_url=ws://127.0.0.1:$secure_port
exit_code connect pi ssh
says "ws:// to a TLS port" "speaks TLS on this port: use wss://"
relay_url=wss://127.0.0.1:$plain_port
exit_code connect pi ssh
says "wss:// to a plain port" "speaks plain HTTP on this port: use ws://"

# OpenSSL hangs up without an alert.
start other openssl s_server -www -accept 127.0.0.1:0 -cert "$tmp/relay.pem" -key "$tmp/relay.key"
wait_for "the port of s_server" has_line "$tmp/other.log" '^ACCEPT'
relay_url=ws://127.0.0.1:$(sed -n 's/^ACCEPT .*://p' "$tmp/other.log" | head -n 1)
exit_code connect pi ssh
says "ws:// to OpenSSL" "ended the connection before it answered; if it speaks TLS on this port, use wss://"

# A proxy that speaks TLS is none that can be used.
relay_url=ws://relay.test
exit_code connect --proxy "http://127.0.0.1:$secure_port" pi ssh
says "a proxy with TLS" "the proxy speaks TLS on this port"

# A relay that is busy says when to come again.
cat >busy.py <<'PYTHON'
import os, socket, sys
l = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1] + ".new", "w").write(str(l.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    s, _ = l.accept()
    s.recv(4096)
    s.sendall(sys.argv[2].encode().decode("unicode_escape").encode())
    s.close()
PYTHON
for status in "429 Too Many Requests" "503 Service Unavailable"; do
	n=${status%% *}
	start "busy$n" python3 busy.py "$tmp/busy$n.port" "HTTP/1.1 $status\\r\\nRetry-After: 7\\r\\nContent-Length: 0\\r\\n\\r\\n"
	started_file "busy$n" "$tmp/busy$n.port"
	relay_url=ws://127.0.0.1:$(cat "$tmp/busy$n.port")
	exit_code connect pi ssh
	says "$n" "answered $status; try again in 7 s"
	start "agent$n" "$TUNNEL_BIN" agent --relay "$relay_url" --name pi --secret-file "$tmp/agent.secret"
	wait_for "the next attempt after $n" has_line "$tmp/agent$n.log" "try again in 7 s: next attempt in"
	stop "agent$n"
done
