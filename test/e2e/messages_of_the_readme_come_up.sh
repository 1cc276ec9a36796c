#!/bin/sh
# SPDX-License-Identifier: ISC
# Each mistake that the README explains is made, and the program says what stands there.
. "$(dirname "$0")/lib.sh"

# Others make these: log_lines_are_bounded.sh, resolve_test.c.
elsewhere='N lines left out|the name servers do not answer'

cd "$tmp"
secrets
make_key relay stranger home guest
cat >creds.json <<JSON
{"edge-agents": {"pi": "agent-secret-of-this-test", "lab": {"secret": "agent-secret-of-this-test", "services": ["ssh"]},
                 "home": {"key": "$(public_key home)"}},
 "clients": {"guest": {"key": "$(public_key guest)", "agents": ["home"], "e2e": true}},
 "access-client-secrets": ["client-secret-of-this-test"]}
JSON
make_cert tls localhost
make_cert other other.test
start_relay tls --tls-cert tls.pem --tls-key tls.key
tls_port=$relay_port
start_relay other --tls-cert other.pem --tls-key other.key
other_port=$relay_port
start_relay plain
plain_port=$relay_port
start_tcp hold hold
hold_port=$tcp_port
start_tcp program greet hello
program_port=$tcp_port
start_tcp proxy greet "$(printf 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r')"
proxy_port=$tcp_port
start_agent pi
start_agent lab --tcp "ssh=$hold_port"

# says COMMAND... - what it says is kept, and that it fails.
says() {
	exit_code "$@"
	[ "$code" != 0 ] || fail "no failure: $*"
	cat err.log >>said
}
at() {
	relay_url=$1
	shift
	says connect "$@"
}
at "ws://127.0.0.1:$(free_port)" pi ssh
at "ws://127.0.0.1:$tls_port" pi ssh
at "wss://127.0.0.1:$plain_port" pi ssh
at "ws://127.0.0.1:$program_port" pi ssh
at "wss://127.0.0.1:$program_port" pi ssh
at "ws://127.0.0.1:$plain_port/elsewhere" pi ssh
at "ws://127.0.0.1:$proxy_port" pi ssh
at "wss://localhost:$tls_port" pi ssh
at "wss://localhost:$other_port" --ca other.pem pi ssh
at "ws://127.0.0.1:$plain_port" nobody ssh
at "$relay_url" pi ssh
at "$relay_url" lab db
at "$relay_url" pi 192.0.2.1 22
says "$TUNNEL_BIN" connect --relay "$relay_url" --secret wrong pi ssh
says "$TUNNEL_BIN" relay --listen "127.0.0.1:$plain_port" --credentials creds.json
says "$TUNNEL_BIN" relay --listen 0.0.0.0:0
says connect_by_key stranger pi ssh
start_relay keyed --key-file relay.key
says connect_by_key stranger pi ssh
says "$TUNNEL_BIN" connect --relay "$relay_url" --key-file stranger.key --relay-key "$(public_key stranger)" pi ssh
echo "{\"clients\": {\"alice\": {\"key\": \"$(public_key stranger)\", \"targets\": [\"ssh\"]}}}" >clients.json
start_agent home --key-file home.key --relay-key "$(public_key relay)" --clients clients.json
says connect_by_key guest --e2e --agent-key "$(public_key home)" home ssh
says connect_by_key guest --e2e --agent-key "$(public_key stranger)" home ssh
# No name server is asked for it: a label has 63 bytes at most.
at "ws://$(printf 'x%.0s' $(seq 64))" pi ssh

relay_url=ws://127.0.0.1:$plain_port
start_agent second --name pi
wait_for "the first agent to end" is_dead pi
start_connect forward -L "0=lab:ssh"
start visitor python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while s.recv(100):
    pass' "$(json forward.ready 'd["local"][0]["port"]')"
wait_for "a stream" has_line lab.log opened
stop lab KILL
wait_for "the end of the stream" is_dead visitor
cat said pi.log forward.log >all

python3 - "$here/../../README.md" "$elsewhere" <<'PYTHON'
import re, sys
rows = re.findall(r"^\| `([^`]+)` \|", open(sys.argv[1]).read().split("\n## When something does not work")[1].split("\n## ")[0], re.M)
said, missing = open("all").read(), 0
assert len(rows) > 15
for row in rows:
    pattern = re.sub(r"\b(HOST|PORT|NAME|N)\b", r"\\S+", re.escape(row).replace(r"\.\.\.", ".*"))
    if row not in sys.argv[2].split("|") and not re.search(pattern, said):
        missing += 1
        print("nobody said: %s" % row)
if missing:
    sys.exit(said)
PYTHON
