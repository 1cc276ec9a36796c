#!/bin/sh
# SPDX-License-Identifier: ISC
# --identity-memory is of an identity: four sessions of one secret, each with streams enough to fill it alone, make the relay hold it once.
# Others are served beside them.
# limit: 180
. "$(dirname "$0")/lib.sh"

secrets
cat >"$tmp/creds.json" <<JSON
{"edge-agents": {"pi": "agent-secret-of-this-test", "lab": "agent-secret-of-this-test"},
 "access-client-secrets": ["client-secret-of-this-test", "secret-of-the-hoarders"]}
JSON
start_relay relay --identity-memory 16m
start_agent lab
start_tcp echo echo
mkfifo "$tmp/in" "$tmp/hold"
start other sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file '$tmp/client.secret' lab 127.0.0.1 $tcp_port <'$tmp/in' >'$tmp/out'"
exec 3>"$tmp/in"
echo before >&3
wait_for "the other session" has_line "$tmp/out" before

streams=1200 sessions=4
start hoarders sh -c "exec python3 '$here/hoarders.py' $relay_port $streams agent-secret-of-this-test secret-of-the-hoarders $sessions \
	<'$tmp/hold' >'$tmp/told'"
exec 4>"$tmp/hold"
told() { [ -s "$tmp/told" ] || is_dead hoarders; }
wait_quietly 100 told || fail "the hoarders did not come to an end"
cat "$tmp/told"
has_line "$tmp/told" '; first=whole; strange=\[\]' || fail "wrong streams were reset"
held=$(sed 's/.*; held=\([0-9]*\).*/\1/' "$tmp/told")
# The windows that each stream has without asking, at the relay and at the agent, are not in it (PROTOCOL.md 5.2).
most=$((16 * 1024 * 1024 + 2 * 8192 * streams))
[ "$held" -le "$most" ] || fail "the relay took $held bytes, $most are allowed"
# As many as these would have been let in by one session alone, more or less: it was the limit that stopped them.
[ "$held" -ge $((most / 2)) ] || fail "the relay took $held bytes only"
echo after >&3
wait_for "the other session to go on" has_line "$tmp/out" after
exec 4>&-
exec 3>&-
code=0
wait "$(pid_of other)" || code=$?
expect "exit status of the other stream" 0 "$code"
