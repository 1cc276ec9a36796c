#!/bin/sh
# SPDX-License-Identifier: ISC
# Every message of http-network-relay, whole and damaged, to our relay, agent and client: other spellings do the same, what is damaged ends in a clean
# close or is passed over; nothing crashes, a name can log in again at once, and another agent's stream notices nothing.
# limit: 300
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

# try ROLE WORD... - damaged.py
try() {
	role=$1
	exit_code "$python" "$hnr/damaged.py" "$@"
	mv "$tmp/out" "$tmp/try-$role.log"
	tail -n 1 "$tmp/try-$role.log"
	expect "exit status of what tries a $role" 0 "$code"
}

start_relay relay
try relay "$relay_url"
kill -0 "$(pid_of relay)" || fail "the relay has ended"
stop relay
expect "exit status of the relay" 0 "$code"
try agent "$TUNNEL_BIN" agent --relay '{url}' --name pi --secret-file "$tmp/agent.secret" --allow '127.0.0.1:*'
try client "$TUNNEL_BIN" connect --relay '{url}' --secret-file "$tmp/client.secret" pi 127.0.0.1 22
try agent "$TUNNEL_BIN" edge-agent --relay-url "{url}" --name pi --secret "$agent_secret"
try access-client "$TUNNEL_BIN" access-client pi 127.0.0.1 22 tcp --relay-url "{url}" --secret "$client_secret"
