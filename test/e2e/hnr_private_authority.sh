#!/bin/sh
# SPDX-License-Identifier: ISC
# The three programs of http-network-relay under their names over wss, with a private authority in SSL_CERT_FILE as the reference takes it: ours and
# the scripted ones get through with it, and end with status 1 without it.
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

secrets
start_relay_with_tls --log-level debug
relay_url=wss://localhost:$tls_port
start_tcp greet greet hello
SSL_CERT_FILE=$tmp/tls.pem
export SSL_CERT_FILE
start pi "$TUNNEL_BIN" edge-agent --relay-url "$relay_url$agents_path" --name pi --secret "$agent_secret"
start lab "$python" "$hnr/edge_agent.py" --relay-url "$relay_url$agents_path" --name lab --secret "$agent_secret"
for agent in pi lab; do
	wait_for "agent $agent" has_line "$tmp/tls.log" "agent $agent: session opened"
done
mkfifo "$tmp/open"
exec 3<>"$tmp/open" # standard input that does not end

for client in dropin theirs; do
	# The agent that is ours tells the end of what the target says.
	exit_code a_client $client pi 127.0.0.1 "$tcp_port" <"$tmp/open"
	expect "status of $client" 0 "$code"
	expect "what $client gets" hello "$(cat "$tmp/out")"
	rm -f "$tmp/lab-$client.out"
	start lab-$client sh -c "exec $(client_of $client) lab 127.0.0.1 $tcp_port tcp <'$tmp/open' >'$tmp/lab-$client.out'"
	wait_for "what $client gets of an unmodified agent" has_line "$tmp/lab-$client.out" hello
	SSL_CERT_FILE='' exit_code a_client $client pi 127.0.0.1 "$tcp_port" <"$tmp/open"
	expect "status of $client without the authority" 1 "$code"
	has_line "$tmp/err.log" "certificate" || fail "$client does not name the certificate: $(cat "$tmp/err.log")"
	expect "what $client writes without the authority" "" "$(cat "$tmp/out")"
done
no_violations
