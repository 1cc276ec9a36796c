#!/bin/sh
# SPDX-License-Identifier: ISC
# End to end the relay only says who may try; keys say who is who, and the agent's own file who reaches what. Each refusal is told
# in words, with exit status 3, and both files are read again while the programs run.
. "$(dirname "$0")/lib.sh"

e2e_files
make_key mallory
cat >"$tmp/creds.json" <<JSON
{"edge-agents": {"pi": {"key": "$(public_key pi)"}, "lab": {"key": "$(public_key lab)"}},
 "clients": {"alice": {"key": "$(public_key alice)", "agents": ["*"], "e2e": true},
             "mallory": {"key": "$(public_key mallory)", "agents": ["*"], "e2e": true}}}
JSON
start_tcp greet greet hello
cat >"$tmp/clients.json" <<JSON
{"clients": {"alice": {"key": "$(public_key alice)", "targets": ["greet", "127.0.0.1:$tcp_port"]}}}
JSON
start_e2e_relay relay
start_e2e_agent pi --tcp "greet=127.0.0.1:$tcp_port" --tcp "other=127.0.0.1:$tcp_port" --require-e2e
start_agent lab --key-file "$tmp/lab.key" --relay-key "$(public_key relay)" --tcp "greet=127.0.0.1:$tcp_port"

# as KEY ARGUMENT...
as() {
	key=$1
	shift
	exit_code connect_by_key "$key" --e2e "$@" </dev/null
}
may() {
	as "$@"
	expect "exit status of $*" 0 "$code"
	expect "answer for $*" hello "$(cat "$tmp/out")"
}
# may_not WORDS KEY ARGUMENT...
may_not() {
	words=$1
	shift
	as "$@"
	expect "exit status of $*" 3 "$code"
	expect "answer for $*" "" "$(cat "$tmp/out")"
	has_line "$tmp/err.log" "$words" || fail "$* does not say \"$words\": $(cat "$tmp/err.log")"
}
known="--known-agents=$tmp/known"

may alice "$known" pi greet
may alice "$known" pi 127.0.0.1 "$tcp_port"
may alice --agent-key "$(public_key pi)" pi greet
# The agent's judgement: its file, then its own services.
may_not "not allowed for this client" alice "$known" pi other
may_not "not allowed\|--allow\|denied" alice "$known" pi 127.0.0.1 9
# The client's key.
may_not "refused our key\|our key" mallory "$known" pi greet
wait_for "the agent to tell of it" has_line "$tmp/pi.log" "$(public_key mallory).*is not in"
# The agent's key: what came and what should have come.
may_not "$(public_key pi).*$(public_key lab)\|$(public_key lab).*$(public_key pi)" \
	alice --agent-key "$(public_key lab)" pi greet
echo "# nobody" >"$tmp/none"
may_not "agent pi is not in $tmp/none" alice --known-agents "$tmp/none" pi greet
# Not without on the one side, not with on the other.
exit_code connect_by_key alice pi greet </dev/null
expect "a plain stream" 3 "$code"
has_line "$tmp/err.log" "not allowed" || fail "$(cat "$tmp/err.log")"
may_not "no clients end to end" alice "$known" lab greet

# The relay's part: "e2e": true.
cp "$tmp/creds.json" "$tmp/creds.good"
sed '/alice/s/, "e2e": true/, "targets": ["*", "*:*"]/' "$tmp/creds.good" >"$tmp/creds.json"
kill -HUP "$(pid_of relay)"
denied() { as alice "$known" pi greet && [ "$code" = 3 ]; }
wait_for "the relay to deny it" denied
has_line "$tmp/err.log" "not allowed for this client" || fail "$(cat "$tmp/err.log")"
exit_code connect_by_key alice pi greet </dev/null
expect "a plain stream" 3 "$code"
has_line "$tmp/err.log" "end to end only" || fail "$(cat "$tmp/err.log")"
cp "$tmp/creds.good" "$tmp/creds.json"
kill -HUP "$(pid_of relay)"
allowed() { as alice "$known" pi greet && [ "$code" = 0 ]; }
wait_for "the relay to admit it" allowed

# A session that stands is cut when its key goes, and comes back with it.
start_tcp hold hold
cat >"$tmp/clients.json" <<JSON
{"clients": {"alice": {"key": "$(public_key alice)", "targets": ["*:*", "127.0.0.1:*"]}}}
JSON
wait_for "the agent to read the file" has_line "$tmp/pi.log" "clients.json: read again"
start_e2e local -L "0=pi:127.0.0.1:$tcp_port"
local_port=$(json "$tmp/local.ready" 'd["local"][0]["port"]')
cat >"$tmp/cut.py" <<'PYTHON'
import os, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(60)
assert s.recv(1), "the service says nothing"
open(sys.argv[2], "w").close()
try:
    while s.recv(1000):
        pass
    print("end")
except ConnectionResetError:
    print("reset")
PYTHON
# cut NAME - a connection that is to be cut.
cut() {
	start "$1" python3 "$tmp/cut.py" "$local_port" "$tmp/$1.ready"
	wait_for "the connection" exists "$tmp/$1.ready"
}
cut cut
sed "s/$(public_key alice)/$(public_key mallory)/" "$tmp/clients.json" >"$tmp/clients.new"
cp "$tmp/clients.json" "$tmp/clients.good"
mv "$tmp/clients.new" "$tmp/clients.json"
wait_for "the cut" is_dead cut
expect "what the program sees" reset "$(cat "$tmp/cut.log")"
wait_for "the agent to tell of it" has_line "$tmp/pi.log" "revoked or has expired"
cp "$tmp/clients.good" "$tmp/clients.json"
back() { python3 -c 'import socket, sys; s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5); s.settimeout(5); assert s.recv(1)' \
	"$local_port" 2>/dev/null; }
wait_for "the client to come back" back

# A file that is wrong is told, and changes nothing.
echo '{"clients": {"alice": {"secret": "x"}}}' >"$tmp/clients.json"
wait_for "the agent to tell of it" has_line "$tmp/pi.log" "alice.*what was read before stays"
back || fail "a broken file has changed something"
echo "pi nonsense" >"$tmp/known"
wait_for "the client to tell of it" has_line "$tmp/local.log" "known: line 1: .*what was read before stays"
back || fail "a broken file has changed something"

# And the client cuts its own when the agent's key goes.
cut known_cut
echo "pi $(public_key lab)" >"$tmp/known"
wait_for "the cut" is_dead known_cut
expect "what the program sees" reset "$(cat "$tmp/known_cut.log")"
has_line "$tmp/local.log" "agent pi, end to end: its key was taken out" || fail "the client does not tell of it"

# Mistakes on the command line.
wrong() {
	words=$1
	shift
	exit_code "$@" </dev/null
	expect "exit status of $*" 2 "$code"
	has_line "$tmp/err.log" "$words" || fail "$* does not say \"$words\": $(cat "$tmp/err.log")"
}
wrong "never comes from the relay" connect_by_key alice --e2e pi greet
wrong "was not given" connect --known-agents "$tmp/none" pi greet
wrong "key-file" connect --e2e --known-agents "$tmp/none" pi greet
wrong "cannot be published" "$TUNNEL_BIN" agent --relay "$relay_url" --key-file "$tmp/pi.key" --relay-key "$(public_key relay)" --name x \
	--clients "$tmp/clients.good" --require-e2e --http 80
wrong "would serve nobody" "$TUNNEL_BIN" agent --relay "$relay_url" --secret-file "$tmp/agent.secret" --name x --require-e2e
wrong "key-file" "$TUNNEL_BIN" agent --relay "$relay_url" --secret-file "$tmp/agent.secret" --name x --clients "$tmp/clients.good"
