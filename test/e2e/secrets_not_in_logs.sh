#!/bin/sh
# SPDX-License-Identifier: ISC
# No secret stands in a log, a message, a process title or an environment that others can read, not even of a failed login.
. "$(dirname "$0")/lib.sh"

secrets
start_tcp hold hold
printf '{"edge-agents": {"pi": "S3CRET-agent"}, "access-client-secrets": ["S3CRET-client"]}' >"$tmp/creds.json"
start_relay relay
start agent env TUNNEL_PROXY=http://u:S3CRET-variable@127.0.0.1:1 "$TUNNEL_BIN" agent --relay "$relay_url" --name pi --secret S3CRET-agent \
	--proxy none -H 'X-Token: S3CRET-header' '-HX-More: S3CRET-glued' --ready-file "$tmp/agent.ready" --log-level debug
started_file agent "$tmp/agent.ready"
mkfifo "$tmp/in"
start client sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret=S3CRET-client --log-level debug pi 127.0.0.1 $tcp_port <'$tmp/in' >'$tmp/out'"
exec 3>"$tmp/in"
wait_for "the stream" has_line "$tmp/out" 127.0.0.1
for name in agent client; do
	! tr '\0' ' ' <"/proc/$(pid_of $name)/cmdline" | grep -q S3CRET || fail "the secret stands in the title of $name"
	! tr '\0' ' ' <"/proc/$(pid_of $name)/environ" | grep -q S3CRET || fail "a secret stands in the environment of $name"
done
TUNNEL_SECRET=S3CRET-wrong exit_code "$TUNNEL_BIN" connect --relay "$relay_url" --log-level debug pi 127.0.0.1 "$tcp_port"
expect "exit status with a wrong one" 3 "$code"
exit_code "$TUNNEL_BIN" agent --relay "$relay_url" --name pi --secret S3CRET-wrong --log-level debug
expect "exit status of an agent with a wrong one" 3 "$code"
exit_code "$TUNNEL_BIN" connect --relay "ws://user:S3CRET-url@127.0.0.1:$relay_port" --secret x pi ssh
! grep -q S3CRET-url "$tmp/err.log" || fail "the password of a URL is repeated: $(cat "$tmp/err.log")"
exec 3>&-
stop client 0
kill -HUP "$(pid_of relay)"
stop agent
stop relay
for f in "$tmp"/*.log; do
	! grep -H S3CRET "$f" || fail "a secret in $(basename "$f")"
done
