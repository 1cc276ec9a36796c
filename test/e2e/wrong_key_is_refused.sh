#!/bin/sh
# SPDX-License-Identifier: ISC
# Wrong keys: exit status 3 and one sentence, whether the name exists or not; a relay with another key is told with both, and nobody
# who has a key shows a secret or goes on without.
. "$(dirname "$0")/lib.sh"

secrets
make_key relay other pi alice stranger
cat >"$tmp/creds.json" <<-JSON
	{"edge-agents": {"pi": {"key": "$(public_key pi)"}, "lab": "agent-secret-of-this-test",
	                 "both": {"key": "$(public_key pi)", "secret": "agent-secret-of-this-test"}},
	 "access-client-secrets": ["client-secret-of-this-test"],
	 "clients": {"alice": {"key": "$(public_key alice)", "agents": ["*"], "targets": ["*:*"]}}}
JSON
start_tcp greet greet hello
start_relay relay --key-file "$tmp/relay.key"

# words_of FILE - a complaint without its time.
words_of() { sed 's/^[^ ]* //' "$1"; }
# agent_as NAME OPTION... - its exit status in $code, its words in $tmp/err.log; one that is let in is up for a moment.
agent_as() {
	name=$1
	shift
	exit_code timeout 20 "$TUNNEL_BIN" agent --relay "$relay_url" --name "$name" "$@"
}

# Of agents: an unknown name, a known one, one that logs in by secret, and a client's key.
pin=$(public_key relay)
for who in nobody pi lab; do
	agent_as $who --key-file "$tmp/stranger.key" --relay-key "$pin"
	expect "exit status of $who with a strange key" 3 "$code"
	words_of "$tmp/err.log" >"$tmp/answer.$who"
	same_files "$tmp/answer.nobody" "$tmp/answer.$who"
done
agent_as lab --key-file "$tmp/pi.key" --relay-key "$pin"
expect "exit status of lab with the key of pi" 3 "$code"
agent_as pi --key-file "$tmp/alice.key" --relay-key "$pin"
expect "exit status of an agent with a client's key" 3 "$code"
# Of clients.
for agent in nobody pi; do
	exit_code connect_by_key stranger $agent 127.0.0.1 "$tcp_port"
	expect "exit status of a client with a strange key" 3 "$code"
	words_of "$tmp/err.log" >"$tmp/client.$agent"
	same_files "$tmp/client.nobody" "$tmp/client.$agent"
done
has_line "$tmp/client.pi" "wrong name or key" || fail "$(cat "$tmp/client.pi")"

# An entry with a key admits no secret, not even the key's text, unless it lists one.
agent_as pi --secret-file "$tmp/agent.secret"
expect "exit status of pi with a secret" 3 "$code"
agent_as pi --secret "$(public_key pi)"
expect "exit status of pi with its public key for a secret" 3 "$code"
start_agent both
stop both
start_agent both --key-file "$tmp/pi.key" --relay-key "$pin"
stop both

# A relay with another key: both are told, and no name, key or secret of ours is.
exit_code "$TUNNEL_BIN" connect --relay "$relay_url" --key-file "$tmp/alice.key" --relay-key "$(public_key other)" pi 127.0.0.1 "$tcp_port"
expect "exit status at a relay with another key" 3 "$code"
has_line "$tmp/err.log" "the relay's key is $(public_key relay), but --relay-key says $(public_key other)" || fail "$(cat "$tmp/err.log")"
start_agent pi --key-file "$tmp/pi.key" --relay-key "$(public_key other)" --relay-key "$pin"
expect "one of two keys of the relay" hello "$(connect_by_key alice pi 127.0.0.1 "$tcp_port" </dev/null)"
stop pi

# A relay without a key: no fallback.
start_relay keyless
exit_code "$TUNNEL_BIN" connect --relay "$relay_url" --key-file "$tmp/alice.key" --relay-key "$pin" pi 127.0.0.1 "$tcp_port"
expect "exit status at a relay without a key" 1 "$code"
has_line "$tmp/err.log" "login by key: .*does the relay have a key" || fail "$(cat "$tmp/err.log")"
has_line "$tmp/keyless.log" "there are keys, but the relay has none of its own" || fail "it is not told of the keys in its file"

# What cannot be meant is found at once.
usage() {
	what=$1 says=$2
	shift 2
	exit_code "$TUNNEL_BIN" "$@"
	expect "exit status of $what" 2 "$code"
	has_line "$tmp/err.log" "$says" || fail "$what: $(cat "$tmp/err.log")"
}
at="--relay $relay_url --name pi"
# shellcheck disable=SC2086
{
	usage "a key without the relay's" "needs --relay-key" agent $at --key-file "$tmp/pi.key"
	usage "a key and a secret" "both a key and a secret" agent $at --key-file "$tmp/pi.key" --relay-key "$pin" --secret-file "$tmp/agent.secret"
	usage "the relay's key alone" "give --key-file" agent $at --secret-file "$tmp/agent.secret" --relay-key "$pin"
	usage "a public key for a private one" "$tmp/pi.key.pub: this is no private key" agent $at --key-file "$tmp/pi.key.pub" --relay-key "$pin"
	usage "a damaged key of the relay" "--relay-key: this public key is damaged" agent $at --key-file "$tmp/pi.key" --relay-key "${pin}A"
	usage "agents' keys without the relay's own" "needs a key of the relay's own" relay --agent-key "pi=$(public_key pi)"
	usage "a damaged --agent-key" "not NAME=tunnel-pub" relay --key-file "$tmp/relay.key" --agent-key "$(public_key pi)"
}
! grep -l tunnel-priv "$tmp"/*.log || fail "a private key stands in a log"
