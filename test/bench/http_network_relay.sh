#!/bin/sh
# SPDX-License-Identifier: ISC
#
# http_network_relay - what the drop-in is worth: throughput each way and round trip between agent and client in http-network-relay's protocol, through
# our relay with our programs and with the scripted ones, and with three scripted ones.
#
#     sh test/bench/http_network_relay.sh
#     REAL='sh /path/to/real' sh test/bench/http_network_relay.sh    and with the three real programs: "$REAL network-relay ARGUMENTS" and so on
#
# One stream on standard input and output; every byte is checked by SHA-256. Round trip: 64 bytes to and fro, the median of 300.
# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
here=$here/../e2e
# shellcheck source-path=SCRIPTDIR source=../e2e/hnr/peers.sh
. "$here/hnr/peers.sh"

WAIT_S=60
ours=$(realpath "$TUNNEL_BIN")
scripted() { echo "$python $hnr/$(echo "$1" | tr - _).py"; }

# measure WHAT RELAY AGENT CLIENT BYTES - commands that take the reference's flags. Sets $up, $down (MB/s) and $trip (us).
measure() {
	port=$(free_port)
	# shellcheck disable=SC2086
	start relay $2 --port "$port" --credentials-file "$tmp/creds.json"
	wait_for "the relay" port_is_open "$port"
	# shellcheck disable=SC2086
	start agent $3 --relay-url "ws://127.0.0.1:$port$agents_path" --name pi --secret "$agent_secret"
	client="$4 --relay-url ws://127.0.0.1:$port$clients_path --secret $client_secret pi 127.0.0.1 $sized_port tcp"
	# shellcheck disable=SC2086
	answers() { "$python" "$hnr/sized.py" ping 1 $client >/dev/null 2>&1; }
	wait_for "the first stream" answers
	# shellcheck disable=SC2086
	up=$("$python" "$hnr/sized.py" run 1 "$5" 0 $client 2>"$tmp/client.log" | sed 's/.*: //; s, MB/s,,')
	# shellcheck disable=SC2086
	down=$("$python" "$hnr/sized.py" run 1 0 "$5" $client 2>"$tmp/client.log" | sed 's/.*: //; s, MB/s,,')
	# shellcheck disable=SC2086
	trip=$("$python" "$hnr/sized.py" ping 300 $client 2>"$tmp/client.log" | sed 's/.*: //; s/ us//')
	printf '%-44s %9s MB/s up %9s MB/s down %7s us\n' "$1" "$up" "$down" "$trip"
	stop agent KILL
	stop relay KILL
}

ratio() { python3 -c "print('%-44s %8.0f times up %8.0f times down %5.1f times the round trips' % ('$1', $up0 / $up, $down0 / $down, $trip / $trip0))"; }

secrets
start_sized
measure "our relay, our programs" "$ours network-relay" "$ours edge-agent" "$ours access-client" 268435456
up0=$up down0=$down trip0=$trip
measure "our relay, scripted agent and client" "$ours network-relay" "$(scripted edge-agent)" "$(scripted access-client)" 4000000
ratio "  ours against these"
measure "three scripted programs" "$(scripted network-relay)" "$(scripted edge-agent)" "$(scripted access-client)" 4000000
ratio "  ours against these"
if [ -n "${REAL:-}" ]; then
	measure "the three real programs" "$REAL network-relay" "$REAL edge-agent" "$REAL access-client" 4000000
	ratio "  ours against these"
fi
