#!/bin/sh
# SPDX-License-Identifier: ISC
# A client reaches the agents and targets that its entry names and nothing else; one open session does not widen that.
. "$(dirname "$0")/lib.sh"

secrets
start_tcp greet greet hello
greet=$tcp_port
printf 'alice-secret' >"$tmp/alice.secret"
printf 'nobody-secret' >"$tmp/nobody.secret"
chmod 600 "$tmp"/*.secret
cat >"$tmp/creds.json" <<JSON
{"edge-agents": {"pi": "agent-secret-of-this-test",
                 "lab": {"secret": "agent-secret-of-this-test", "services": ["greet"]}},
 "access-client-secrets": ["client-secret-of-this-test"],
 "clients": {"alice": {"secret": "alice-secret", "agents": ["pi"], "targets": ["greet", "127.0.0.1:$greet"]},
             "nobody": {"secret": "nobody-secret", "agents": ["*"]}}}
JSON
start_relay relay
start_agent pi --tcp "greet=127.0.0.1:$greet" --tcp "other=127.0.0.1:$greet"
start_agent lab --tcp "greet=127.0.0.1:$greet" --tcp "other=127.0.0.1:$greet"

as() {
	who=$1
	shift
	exit_code "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/$who.secret" "$@" </dev/null
}
may() {
	as "$@"
	expect "exit status of $*" 0 "$code"
	expect "answer for $*" hello "$(cat "$tmp/out")"
}
may_not() {
	as "$@"
	expect "exit status of $*" 3 "$code"
	expect "answer for $*" "" "$(cat "$tmp/out")"
}
may alice pi greet
may alice pi 127.0.0.1 "$greet"
may_not alice pi other
may_not alice pi 127.0.0.1 22
may_not alice pi localhost "$greet"
may_not alice lab greet
may_not nobody pi greet
may_not nobody pi 127.0.0.1 "$greet"
may client pi other
may client lab greet
may_not client lab other
may_not client lab 127.0.0.1 "$greet"

# Through one session: SOCKS opens each stream by itself.
start socks "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/alice.secret" -D 0=pi \
	--ready-file "$tmp/socks.ready" --log-level debug
started_file socks "$tmp/socks.ready"
port=$(json "$tmp/socks.ready" 'd["socks"][0]["port"]')
through() { curl -s --http0.9 --max-time 10 -x "socks5h://127.0.0.1:$port" "http://$1/" || true; }
for round in 1 2; do
	expect "round $round: the target that is allowed" hello "$(through "127.0.0.1:$greet")"
	expect "round $round: another" "" "$(through "localhost:$greet")"
done
