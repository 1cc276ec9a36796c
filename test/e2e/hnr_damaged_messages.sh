#!/bin/sh
# SPDX-License-Identifier: ISC
# Every message of http-network-relay, whole and damaged, to our relay, agent and client: other spellings do the same, what is damaged ends in a clean
# close or is passed over; nothing crashes, a name can log in again at once, and another agent's stream notices nothing.
# limit: 300
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

# try NAME ROLE WORD... - damaged.py, beside the others
tries=
try() {
	tries="$tries $1"
	name=$1
	shift
	start "$name" "$python" "$hnr/damaged.py" "$@"
}

start_relay relay
try relays relay "$relay_url"
try agents agent "$TUNNEL_BIN" agent --relay '{url}' --name '{name}' --secret-file "$tmp/agent.secret" --allow '127.0.0.1:*'
try clients client "$TUNNEL_BIN" connect --relay '{url}' --secret-file "$tmp/client.secret" '{name}' 127.0.0.1 22
try edge-agents agent "$TUNNEL_BIN" edge-agent --relay-url "{url}" --name "{name}" --secret "$agent_secret"
try access-clients access-client "$TUNNEL_BIN" access-client "{name}" 127.0.0.1 22 tcp --relay-url "{url}" --secret "$client_secret"
for name in $tries; do
	code=0
	wait "$(pid_of "$name")" || code=$?
	echo "$name: $(tail -n 1 "$tmp/$name.log")"
	expect "exit status of what tries $name" 0 "$code"
done
kill -0 "$(pid_of relay)" || fail "the relay has ended"
stop relay
expect "exit status of the relay" 0 "$code"
