#!/bin/sh
# SPDX-License-Identifier: ISC
# The commands of tunnel(1), "Coming from http-network-relay", before and after: each of the three can be exchanged on its own, in any order.
# limit: 200
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

secrets
start_tcp greet greet hello
port=$(free_port)
cp "$tmp/agent.secret" "$tmp/pi.secret"
cp "$tmp/creds.json" "$tmp/credentials.json"
for name in network-relay edge-agent access-client tunnel; do ln -s "$(realpath "$TUNNEL_BIN")" "$tmp/$name"; done

# The six commands, one on each line, for this machine: "after" of one follows its "before".
sed -n '/^\.Sh COMING FROM/,/^\.Ed/p' "$here/../../man/tunnel.1" | sed -n '/^\.Bd/,/^\.Ed/{/^\./d;p}' |
	sed -e ':join' -e '/\\e$/{N;s/ *\\e\n */ /;b join' -e '}' -e '/^$/d' \
		-e "s/r.example.com:8000/127.0.0.1:$port/; s/0\.0\.0\.0:8000/127.0.0.1:$port/; s/--host 0\.0\.0\.0 --port 8000/--host 127.0.0.1 --port $port/" \
		-e "s/ 127.0.0.1 22/ 127.0.0.1 $tcp_port/" -e "/^edge-agent/s/SECRET/$agent_secret/; /^access-client/s/SECRET/$client_secret/" >"$tmp/commands"
expect "commands in the manual" 6 "$(wc -l <"$tmp/commands")"

# command NAME - the line that begins so, to be run in $tmp
command_of() { echo "cd '$tmp' && exec ./$(grep "^$1 " "$tmp/commands")"; }

answers() { [ "$(sh -c "$(command_of "$1")" </dev/null 2>>"$tmp/client.log")" = hello ]; }

for relay in network-relay "tunnel relay"; do
	start relay sh -c "$(command_of "$relay")"
	for agent in edge-agent "tunnel agent"; do
		wait_for "$relay to listen" port_is_open "$port"
		start agent sh -c "$(command_of "$agent")"
		for client in access-client "tunnel connect"; do
			wait_for "$relay, $agent, $client" answers "$client"
		done
		stop agent
	done
	stop relay
done

# The same client with the programs of the old tool themselves.
start relay "$python" "$hnr/network_relay.py" --port "$port" --credentials-file "$tmp/credentials.json"
wait_for "their relay to listen" port_is_open "$port"
for agent in edge-agent "tunnel agent"; do
	start agent sh -c "$(command_of "$agent")"
	for client in access-client "tunnel connect"; do
		wait_for "their relay, $agent, $client" answers "$client"
	done
	stop agent
done
no_violations
