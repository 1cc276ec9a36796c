#!/bin/sh
# SPDX-License-Identifier: ISC
# Wrong and missing secrets: exit status 3, a sentence, and nothing that tells whether the name exists.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
start_relay relay
start_agent pi
printf 'not-the-secret' >"$tmp/wrong.secret"
chmod 600 "$tmp/wrong.secret"

exit_code "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/wrong.secret" pi 127.0.0.1 "$tcp_port"
expect "exit status of a client with a wrong secret" 3 "$code"
expect "its output" "" "$(cat "$tmp/out")"
known=$(sed 's/^[^ ]* //' "$tmp/err.log")
exit_code "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/wrong.secret" nobody 127.0.0.1 "$tcp_port"
expect "the answer about an unknown agent" "$known" "$(sed 's/^[^ ]* //' "$tmp/err.log")"

# An agent's secret is not a client's, nor the reverse.
exit_code "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/agent.secret" pi 127.0.0.1 "$tcp_port"
expect "exit status with an agent's secret" 3 "$code"
for name in pi nobody; do
	for secret in wrong client; do
		exit_code "$TUNNEL_BIN" agent --relay "$relay_url" --name $name --secret-file "$tmp/$secret.secret"
		expect "exit status of agent $name with the $secret secret" 3 "$code"
		sed 's/^[^ ]* //' "$tmp/err.log" >"$tmp/answer.$name.$secret"
	done
done
same_files "$tmp/answer.pi.wrong" "$tmp/answer.nobody.wrong"
exit_code "$TUNNEL_BIN" connect --relay "$relay_url" pi 127.0.0.1 "$tcp_port"
expect "exit status without a secret" 2 "$code"
expect "the right one still works" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"
TUNNEL_SECRET=$(cat "$tmp/client.secret") TUNNEL_RELAY=$relay_url
export TUNNEL_SECRET TUNNEL_RELAY
expect "from the environment" hello "$("$TUNNEL_BIN" connect pi 127.0.0.1 "$tcp_port" </dev/null)"
TUNNEL_SECRET=not-the-secret
expect "a flag goes before the environment" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"
unset TUNNEL_SECRET TUNNEL_RELAY

# What no relay could ever be told is found at once.
printf 'secret\n\n' >"$tmp/lines.secret"
printf 'secret\377' >"$tmp/bytes.secret"
for kind in lines bytes; do
	exit_code "$TUNNEL_BIN" agent --relay "$relay_url" --name pi --secret-file "$tmp/$kind.secret"
	expect "exit status with a secret that cannot be sent ($kind)" 2 "$code"
	has_line "$tmp/err.log" "the secret in $tmp/$kind.secret has a control character" || fail "$(cat "$tmp/err.log")"
done

# A reverse proxy may say no as well.
start front python3 -c '
import http.server, os, sys
class No(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(403)
s = http.server.HTTPServer(("127.0.0.1", 0), No)
open(sys.argv[1] + "/front.new", "w").write(str(s.server_port))
os.rename(sys.argv[1] + "/front.new", sys.argv[1] + "/front.port")
s.serve_forever()' "$tmp"
started_file front "$tmp/front.port"
relay_url=ws://127.0.0.1:$(cat "$tmp/front.port")
exit_code connect pi ssh
expect "exit status after a 403" 3 "$code"
has_line "$tmp/err.log" 403 || fail "the 403 is not named: $(cat "$tmp/err.log")"
