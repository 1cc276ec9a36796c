#!/bin/sh
# SPDX-License-Identifier: ISC
# keygen --join makes one string; an agent and a client need nothing else, once its public key is in the relay's credentials.
. "$(dirname "$0")/lib.sh"

make_key relay
start_tcp greet greet hello
echo '{}' >"$tmp/creds.json"
start_relay relay --key-file "$tmp/relay.key"
join() { "$TUNNEL_BIN" keygen --join "$relay_url" --relay-key "$(public_key relay)" "$@"; }
agent_key=$(join -o "$tmp/agent.join")
client_key=$(join 2>&1 >"$tmp/client.join")
expect "the mode of the file" 600 "$(stat -c %a "$tmp/agent.join")"
expect "lines of the string" 1 "$(wc -l <"$tmp/client.join")"
chmod 600 "$tmp/client.join"

# Nobody is in the credentials yet: the agent tells its own key, which is to be put there.
exit_code "$TUNNEL_BIN" agent --name pi --join-file "$tmp/agent.join"
expect "exit status before the key is known" 3 "$code"
has_line "$tmp/err.log" "own key: $agent_key" || fail "the agent does not tell its public key: $(cat "$tmp/err.log")"

cat >"$tmp/creds.new" <<-JSON
	{"edge-agents": {"pi": {"key": "$agent_key"}}, "clients": {"c": {"key": "$client_key", "agents": ["*"], "targets": ["*:*"]}}}
JSON
mv "$tmp/creds.new" "$tmp/creds.json"
kill -HUP "$(pid_of relay)"
wait_for "the reload" has_line "$tmp/relay.log" "read again"
start pi "$TUNNEL_BIN" agent --name pi --join-file "$tmp/agent.join" --ready-file "$tmp/pi.ready"
started_file pi "$tmp/pi.ready"
expect "a client that joined" hello "$("$TUNNEL_BIN" connect --join-file "$tmp/client.join" pi 127.0.0.1 "$tcp_port" </dev/null)"

# usage WHAT SAYS COMMAND...
usage() {
	what=$1 says=$2
	shift 2
	exit_code "$TUNNEL_BIN" "$@"
	expect "exit status of $what" 2 "$code"
	has_line "$tmp/err.log" "$says" || fail "$what: $(cat "$tmp/err.log")"
}
sed 's/.$//' "$tmp/client.join" >"$tmp/short.join"
chmod 600 "$tmp/short.join"
usage "a string that was cut off" "$tmp/short.join: this join string is damaged" agent --name pi --join-file "$tmp/short.join"
usage "a key in its place" "this is no join string" agent --name pi --join-file "$tmp/relay.key"
usage "a relay beside it" "give it alone" agent --name pi --join-file "$tmp/agent.join" --relay "$relay_url"
usage "a secret beside it" "both a key and a secret" agent --name pi --join-file "$tmp/agent.join" --secret x
usage "no key of the relay" "go together" keygen --join "$relay_url"
usage "a URL of something else" "ws://" keygen --join https://t.example.com --relay-key "$(public_key relay)"
! grep -l -e tunnel-priv -e tunnel-join-A "$tmp"/*.log || fail "a private key stands in a log"
