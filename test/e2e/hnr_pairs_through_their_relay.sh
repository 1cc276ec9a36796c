#!/bin/sh
# SPDX-License-Identifier: ISC
# Our agents and clients, native and under http-network-relay's command lines, through an unmodified network-relay: ssh, transfers each way, 50 streams at
# once, refusals, a lost relay. The protocol is chosen by the URL's path, by --dialect, or when the native endpoint is not there.
# limit: 600
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

start_sshd
start_their_relay --keep-alive-s 30
start_sized
start_tcp greet greet hello
base=$relay_url
make_data "$tmp/up" 1000000
for agent in $KINDS; do
	relay_url=$base
	[ "$agent" != native ] || relay_url=$base$agents_path
	start_agent_of "$agent" pi
	for client in $KINDS; do
		case $agent-$client in theirs-theirs) continue ;; esac
		relay_url=$base
		[ "$client" != native ] || relay_url=$base$clients_path
		pair "$agent" "$client" 2000000
	done
	stop pi
done

# ---- what is refused, and who finds the dialect by itself ----

relay_url=$base
start_agent_of native pi
has_line "$tmp/pi.log" "403 Forbidden.*trying the dialect http-network-relay at $agents_path" || fail "the agent does not say what it tries"
expect "a client that finds the dialect" hello "$(connect --log-level info pi 127.0.0.1 "$tcp_port" </dev/null 2>"$tmp/err.log")"
has_line "$tmp/err.log" "trying the dialect http-network-relay at $clients_path" || fail "the client does not say what it tries: $(cat "$tmp/err.log")"
expect "a client that is told the dialect" hello "$(connect --log-level info --dialect http-network-relay pi 127.0.0.1 "$tcp_port" </dev/null 2>"$tmp/err.log")"
! has_line "$tmp/err.log" "trying" || fail "the client tries what it was told: $(cat "$tmp/err.log")"

# told CODE TEXT WORD... - connect
told() {
	wanted=$1 text=$2
	shift 2
	exit_code connect "$@" </dev/null
	has_line "$tmp/err.log" "$text" || fail "connect $* is told: $(cat "$tmp/err.log")"
	expect "exit status of connect $*" "$wanted" "$code"
}
told 1 "Agent not registered" nobody 127.0.0.1 22
told 1 "Error initiating connection: .*refused" pi 127.0.0.1 1
told 1 "no services by name" pi ssh
told 1 "no datagrams" pi 127.0.0.1 53 udp
printf wrong >"$tmp/wrong.secret"
chmod 600 "$tmp/wrong.secret"
told 3 "Invalid access client secret" --secret-file "$tmp/wrong.secret" pi 127.0.0.1 22
exit_code "$TUNNEL_BIN" agent --relay "$relay_url" --name pi --secret-file "$tmp/wrong.secret"
expect "exit status of an agent with a wrong secret" 3 "$code"

# Nothing falls back where a path was given: the agent goes on trying that.
start lost "$TUNNEL_BIN" agent --relay "$relay_url/tunnel" --name pi --secret-file "$tmp/agent.secret"
tried_twice() { [ "$(grep -c "403 Forbidden.*next attempt" "$tmp/lost.log")" -ge 2 ]; }
wait_for "the second attempt" tried_twice
! has_line "$tmp/lost.log" "trying" || fail "it tries another path than was given: $(cat "$tmp/lost.log")"
stop lost

# Forwards open a WebSocket for each connection.
start_connect forward -L "0=pi:127.0.0.1:$tcp_port" -D 0=pi
expect "through -L" hello "$(socat -u "TCP:127.0.0.1:$(json "$tmp/forward.ready" 'd["local"][0]["port"]')" -)"
expect "through SOCKS" hello "$(curl -s --socks5 "127.0.0.1:$(json "$tmp/forward.ready" 'd["socks"][0]["port"]')" -m 20 --http0.9 "http://127.0.0.1:$tcp_port/" | head -n 1)"

# The relay comes back, and so does the agent.
stop relay KILL
sed -n 's/.*listens on //p' "$tmp/relay.log" | tail -n 1 >"$tmp/at"
before=$(sessions_of pi)
start relay "$python" "$hnr/network_relay.py" --port "$(cut -d: -f2 "$tmp/at")" --credentials-file "$tmp/creds.json"
wait_for "the agent to come back" one_more pi
expect "after it" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null 2>"$tmp/err.log")"
no_violations
