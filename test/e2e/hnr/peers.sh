# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# peers - the programs of http-network-relay, "theirs" (the scripted ones beside this file) and ours, started alike. After lib.sh:
#
#     . "$here/hnr/peers.sh"
#
# What the functions set is for the tests:
# shellcheck disable=SC2034,SC2154
hnr=$here/hnr
python=/usr/bin/python3 # the interpreter that python3-websockets belongs to
agents_path=/ws_for_edge_agents
clients_path=/ws_for_access_clients
agent_secret=agent-secret-of-this-test
client_secret=client-secret-of-this-test

# The kinds of agents and clients: the scripted ones, ours in their own protocol, ours under their names and command lines.
KINDS='theirs native dropin'

# How often the relay "relay", of either kind, has let in that agent.
sessions_of() { grep -c -- "agent $1: session opened\|agent $1: start" "$tmp/relay.log" || true; }
one_more() { [ "$(sessions_of "$1")" -gt "$before" ]; }

# start_their_relay [OPTION...] - a scripted network-relay at $relay_url.
start_their_relay() {
	secrets
	start relay "$python" "$hnr/network_relay.py" --port 0 --port-file "$tmp/relay.port" --credentials-file "$tmp/creds.json" "$@"
	started_file relay "$tmp/relay.port"
	relay_url=ws://127.0.0.1:$(cat "$tmp/relay.port")
}

# start_agent_of KIND NAME [OPTION...] - theirs, native or dropin; waits until it is let in.
start_agent_of() {
	kind=$1 name=$2
	shift 2
	before=$(sessions_of "$name")
	case $kind in
	theirs) start "$name" "$python" "$hnr/edge_agent.py" --relay-url "$relay_url$agents_path" --name "$name" --secret "$agent_secret" "$@" ;;
	dropin) start "$name" "$TUNNEL_BIN" edge-agent --relay-url "$relay_url$agents_path" --name "$name" --secret "$agent_secret" "$@" ;;
	native) start_agent "$name" "$@" ;;
	esac
	wait_for "agent $name to be let in" one_more "$name"
}

# client_of KIND - the words of a command that ends with AGENT HOST PORT. Paths hold no spaces.
client_of() {
	case $1 in
	theirs) echo "$python $hnr/access_client.py --relay-url $relay_url$clients_path --secret $client_secret" ;;
	dropin) echo "$TUNNEL_BIN access-client --relay-url $relay_url$clients_path --secret $client_secret" ;;
	native) echo "$TUNNEL_BIN connect --relay $relay_url --secret-file $tmp/client.secret" ;;
	esac
}

# a_client KIND AGENT HOST PORT - runs it.
a_client() {
	words=$(client_of "$1")
	shift
	# shellcheck disable=SC2086
	$words "$@" tcp
}

# start_sized - the service of sized.py: $sized_port.
start_sized() {
	start sized "$python" "$hnr/sized.py" serve "$tmp/sized.port"
	started_file sized "$tmp/sized.port"
	sized_port=$(cat "$tmp/sized.port")
}

# sized KIND AGENT STREAMS UP DOWN - transfers through a client of that kind.
sized() {
	words=$(client_of "$1")
	# shellcheck disable=SC2086
	"$python" "$hnr/sized.py" run "$3" "$4" "$5" $words "$2" 127.0.0.1 "$sized_port" tcp 2>"$tmp/sized-of-$1.log" || fail "transfers by a client of kind $1"
}

# pair AGENT CLIENT LARGE - ssh and transfers; "pi" is an agent of that kind, $tmp/up a file; LARGE bytes each way in one transfer, 50 streams after it.
pair() {
	began=$(date +%s)
	over() { ssh -F "$tmp/ssh_config" -o "ProxyCommand $(client_of "$2") %h 127.0.0.1 $sshd_port tcp" pi "$3"; }
	expect "ssh, $1 agent and $2 client" "$(sum_of "$tmp/up")" "$(over "$1" "$2" sha256sum <"$tmp/up" 2>"$tmp/ssh-$2.log" | cut -d' ' -f1)"
	over "$1" "$2" "cat $tmp/up" >"$tmp/down" 2>>"$tmp/ssh-$2.log"
	same_files "$tmp/up" "$tmp/down"
	exit_code over "$1" "$2" 'exit 7'
	expect "exit status through ssh, $1 agent and $2 client" 7 "$code"
	sized "$2" pi 1 "$3" "$3"
	sized "$2" pi 50 20000 30000
	echo "pair $1 $2 took $(($(date +%s) - began)) s"
}

# no_violations - the scripted peers have seen nothing that they must not be sent.
no_violations() {
	! grep -n VIOLATION "$tmp"/*.log || fail "see above"
}
