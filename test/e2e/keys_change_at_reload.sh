#!/bin/sh
# SPDX-License-Identifier: ISC
# Keys are changed and taken away by SIGHUP: during a change both are good, who has one that is gone is disconnected and told why;
# keys of agents on the command line need no file.
# tsan: yes
. "$(dirname "$0")/lib.sh"

make_key relay old new alice nas
write_creds() {
	printf '{"edge-agents": {"pi": {"key": %s}}, "clients": {"alice": {"key": ["%s"], "agents": ["pi"], "targets": ["*:*"]%s}}}' \
		"$1" "$(public_key alice)" "${2:-}" >"$tmp/creds.new"
	mv "$tmp/creds.new" "$tmp/creds.json"
}
quoted() { printf '"%s"' "$(public_key "$1")"; }
agent() { start_agent "$1" --name pi --key-file "$tmp/$1.key" --relay-key "$(public_key relay)"; }
write_creds "$(quoted old)"
start_tcp hold hold
start_relay relay --key-file "$tmp/relay.key"
agent old

# Both keys: the old session stays, the new key gets in (and takes the name over).
write_creds "[$(quoted old), $(quoted new)]"
kill -HUP "$(pid_of relay)"
wait_for "the reload" has_line "$tmp/relay.log" "creds.json: read again"
! is_dead old || fail "the old key's session did not stay"
agent new
wait_for "the old agent to be replaced" is_dead old
stop old
mkfifo "$tmp/in"
start alice sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --key-file '$tmp/alice.key' --relay-key $(public_key relay) \
	pi 127.0.0.1 $tcp_port <'$tmp/in' >'$tmp/out'"
exec 3>"$tmp/in"
wait_for "the stream" has_line "$tmp/out" 127.0.0.1

# The old one is gone: a session of the new one is not touched, the old key is wrong.
write_creds "$(quoted new)"
kill -HUP "$(pid_of relay)"
exit_code_is_3() { exit_code "$TUNNEL_BIN" agent --relay "$relay_url" --name pi --key-file "$tmp/old.key" --relay-key "$(public_key relay)"; [ "$code" = 3 ]; }
wait_for "the old key to be refused" exit_code_is_3
! is_dead new || fail "the new key's session did not stay"

# Taken away while it is in use.
! is_dead alice || fail "the client did not stay"
sed "s/$(public_key alice)/$(public_key nas)/" "$tmp/creds.json" >"$tmp/creds.new"
mv "$tmp/creds.new" "$tmp/creds.json"
kill -HUP "$(pid_of relay)"
wait_for "the client to be put out" is_dead alice
stop alice
expect "its exit status" 3 "$code"
has_line "$tmp/alice.log" "revoked" || fail "it was not told why"
exec 3>&-

# Without a file.
start_relay bare --insecure --key-file "$tmp/relay.key" --agent-key "nas=$(public_key nas)" --agent-key "nas=$(public_key new)"
start_agent nas --key-file "$tmp/nas.key" --relay-key "$(public_key relay)"
stop nas
start_agent nas --key-file "$tmp/new.key" --relay-key "$(public_key relay)"
stop nas
exit_code "$TUNNEL_BIN" agent --relay "$relay_url" --name nas --key-file "$tmp/old.key" --relay-key "$(public_key relay)"
expect "exit status with another key" 3 "$code"
exit_code "$TUNNEL_BIN" connect --relay "$relay_url" --secret x nas ssh
expect "exit status of a client that nobody knows" 3 "$code"
