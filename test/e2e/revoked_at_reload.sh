#!/bin/sh
# SPDX-License-Identifier: ISC
# A changed credentials file is read by itself and on SIGHUP: who is gone from it is disconnected at once, others stay; a broken
# file keeps the old one.
# tsan: yes
. "$(dirname "$0")/lib.sh"

write_creds() {
	printf '{"edge-agents": %s, "access-client-secrets": %s}' "$1" "$2" >"$tmp/creds.new"
	mv "$tmp/creds.new" "$tmp/creds.json"
}
secrets
printf 'second-agent-secret' >"$tmp/lab.secret"
printf 'second-client-secret' >"$tmp/second.secret"
chmod 600 "$tmp"/*.secret
agents='{"pi": "agent-secret-of-this-test", "lab": "second-agent-secret"}'
write_creds "$agents" '["client-secret-of-this-test", "second-client-secret"]'
start_tcp hold hold
start_relay relay
start_agent pi
start_agent lab --secret-file "$tmp/lab.secret"

# One long stream of each client.
for who in client second; do
	mkfifo "$tmp/$who.in"
	start "$who" sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/$who.secret' pi 127.0.0.1 $tcp_port \
		<'$tmp/$who.in' >'$tmp/$who.out'"
done
exec 3>"$tmp/client.in" 4>"$tmp/second.in"
wait_for "the streams" has_line "$tmp/client.out" 127.0.0.1
wait_for "the streams" has_line "$tmp/second.out" 127.0.0.1

write_creds "$agents" '["client-secret-of-this-test"]'
kill -HUP "$(pid_of relay)"
wait_for "the second client to be put out" is_dead second
stop second
expect "its exit status" 3 "$code"
has_line "$tmp/second.log" "revoked" || fail "it was not told why"

write_creds '{"pi": "agent-secret-of-this-test"}' '["client-secret-of-this-test"]'
wait_for "lab to be put out without a signal" has_line "$tmp/lab.log" "revoked"
stop lab
exit_code "$TUNNEL_BIN" agent --relay "$relay_url" --name lab --secret-file "$tmp/lab.secret"
expect "exit status of lab from now on" 3 "$code"

echo '{"edge-agents": {' >"$tmp/creds.json"
wait_for "the complaint" has_line "$tmp/relay.log" "creds.json.*credentials in use stay"
! is_dead pi || fail "pi was disconnected"
! is_dead client || fail "the first client was disconnected"
exec 3>&-
stop client 0
expect "exit status of the first client" 0 "$code"
