#!/bin/sh
# SPDX-License-Identifier: ISC
# A relay that is full, or says what we do not know yet, is tried again by agents and forwards; only standard input gives up.
. "$(dirname "$0")/lib.sh"

secrets
# A relay that greets everybody with GOAWAY and the code in the path.
start away python3 "$here/fake_relay.py" "$tmp/away.port"
started_file away "$tmp/away.port"
at=ws://127.0.0.1:$(cat "$tmp/away.port")/away

LIMIT=7 PROTOCOL=8 UNKNOWN=77
for code in $LIMIT $UNKNOWN; do
	start "agent$code" "$TUNNEL_BIN" agent --relay "$at/$code" --name pi --secret-file "$tmp/agent.secret" --log-level debug
done
for code in $LIMIT $PROTOCOL $UNKNOWN; do
	relay_url=$at/$code
	start_connect "forward$code" -L 0=pi:ssh
done
for name in agent$LIMIT agent$UNKNOWN forward$LIMIT forward$PROTOCOL forward$UNKNOWN; do
	wait_for "$name to wait for its next attempt" has_line "$tmp/$name.log" "-> waiting"
	has_line "$tmp/$name.log" "not now" || fail "$name does not say why"
	! is_dead "$name" || fail "$name gave up"
done
for code in $LIMIT $PROTOCOL $UNKNOWN; do
	relay_url=$at/$code
	exit_code connect pi ssh </dev/null
	expect "exit status of standard input after code $code" 1 "$code"
	has_line "$tmp/err.log" "not now" || fail "$(cat "$tmp/err.log")"
done
