#!/bin/sh
# SPDX-License-Identifier: ISC
# Run as network-relay, edge-agent or access-client the program has http-network-relay's command lines, variables, words and exit statuses, and
# shows no secret.
. "$(dirname "$0")/lib.sh"

secrets
cp "$tmp/creds.json" "$tmp/credentials.json"
mkdir "$tmp/bin"
for name in network-relay edge-agent access-client; do ln -s "$(realpath "$TUNNEL_BIN")" "$tmp/bin/$name"; done
PATH="$tmp/bin:$PATH"
port=$(free_port)
agents=ws://127.0.0.1:$port/ws_for_edge_agents clients=ws://127.0.0.1:$port/ws_for_access_clients
agent_secret=$(cat "$tmp/agent.secret") client_secret=$(cat "$tmp/client.secret")

# The relay: its variables, and credentials.json of the folder it runs in.
# shellcheck disable=SC2016
HTTP_NETWORK_RELAY_SERVER_PORT=$port start relay sh -c 'cd "$1" && exec network-relay --ho 127.0.0.1' sh "$tmp"
wait_for "the relay's line" has_line "$tmp/relay.log" "Uvicorn running on http://127.0.0.1:$port (Press CTRL+C to quit)"

# The agent: its secret from the environment and wiped from there.
HTTP_NETWORK_RELAY_SECRET=$agent_secret HTTP_NETWORK_RELAY_URL=$agents start agent edge-agent --name=pi
wait_for "the agent's login" has_line "$tmp/agent.log" "Sent start message"
wait_for "the agent at the relay" has_line "$tmp/relay.log" "agent pi: session opened"
has_line "$tmp/agent.log" "every target is allowed.*TUNNEL_ALLOW" || fail "the agent does not say how to narrow what is allowed"
! grep -qa "$agent_secret" "/proc/$(pid_of agent)/environ" "/proc/$(pid_of agent)/cmdline" || fail "the agent shows its secret"

start_tcp echo echo
export HTTP_NETWORK_RELAY_URL="$clients"
mkfifo "$tmp/in"
# shellcheck disable=SC2016
start client sh -c 'exec access-client pi 127.0.0.1 "$1" tcp --sec "$2" <"$3/in" >"$3/echoed"' sh "$tcp_port" "$client_secret" "$tmp"
exec 3>"$tmp/in"
echo hello >&3
wait_for "the echo" has_line "$tmp/echoed" hello
has_line "$tmp/client.log" "Received OK message" || fail "the client does not say that it is connected"
! tr '\0' '\n' <"/proc/$(pid_of client)/cmdline" | grep -q "$client_secret" || fail "the client shows its secret"
# There is no way to say that standard input has ended: it goes on.
exec 3>&-
stop client
expect "status of a client that a signal ends" 143 "$code"
! grep -q "$client_secret\|$agent_secret" "$tmp"/*.log || fail "a secret was printed"

# status WANTED WORDS COMMAND... - of its standard error.
status() {
	wanted=$1 words=$2
	shift 2
	exit_code timeout 30 "$@" </dev/null
	expect "status of $*" "$wanted" "$code"
	has_line "$tmp/err.log" "$words" || fail "$* says: $(cat "$tmp/err.log")"
	[ ! -s "$tmp/out" ] || fail "$* prints: $(cat "$tmp/out")"
}

# Whatever a relay answers is status 0.
status 0 "error message: Error initiating connection: .*onnection refused" access-client pi 127.0.0.1 1 tcp --secret "$client_secret"
status 0 "error message: Agent not registered" access-client --secret "$client_secret" nobody 127.0.0.1 1 tcp
status 0 "error message: Invalid access client secret" access-client pi 127.0.0.1 1 tcp --secret wrong
status 0 "error message: Error initiating connection: Unsupported protocol: udp" access-client pi 127.0.0.1 1 udp --secret "$client_secret"
# No relay, or none there; no secret.
status 1 "refused" access-client pi 127.0.0.1 1 tcp --secret x --relay-url "ws://127.0.0.1:1/ws_for_access_clients"
status 1 "404" access-client pi 127.0.0.1 1 tcp --secret x --relay-url "ws://127.0.0.1:$port/ws"
status 1 "secret is required" access-client pi 127.0.0.1 1 tcp
status 1 "secret is required" edge-agent
status 1 "nowhere.json" network-relay --credentials-file "$tmp/nowhere.json" --port 0
# Wrong usage.
status 2 "error: the following arguments are required: target_ip, target_port, protocol" access-client pi
status 2 "error: argument target_port: invalid int value: 'ssh'" access-client pi 127.0.0.1 ssh tcp
status 2 "error: unrecognized arguments: --bogus" edge-agent --bogus
status 2 "error: ambiguous option: --h could match --help, --host" network-relay --h 127.0.0.1
status 2 "error: argument --port: invalid int value: 'x'" network-relay --port x
exit_code access-client --help
expect "status of --help" 0 "$code"
has_line "$tmp/out" "^usage: access-client \[-h\] \[--relay-url RELAY_URL\]" || fail "--help: $(cat "$tmp/out")"
# The first argument will do, too.
exit_code "$TUNNEL_BIN" edge-agent --help
has_line "$tmp/out" "^usage: edge-agent " || fail "tunnel edge-agent --help: $(cat "$tmp/out")"

# What is allowed can be narrowed without touching the command line.
TUNNEL_ALLOW=127.0.0.1:1 HTTP_NETWORK_RELAY_URL=$agents start narrow edge-agent --name lab --secret "$agent_secret"
wait_for "the second agent at the relay" has_line "$tmp/relay.log" "agent lab: session opened"
status 0 "not allowed" access-client lab 127.0.0.1 "$tcp_port" tcp --secret "$client_secret"

# A wrong secret is no reason to give up; neither is a relay that goes away.
HTTP_NETWORK_RELAY_URL=$agents start stubborn edge-agent --secret wrong
wait_for "the default name" has_line "$tmp/relay.log" "agent unnamed-fqdn-.*-edge-agent-[0-9a-f]\{8\} .*refused"
stop relay
expect "status of the relay" 143 "$code"
wait_for "the agent's words" has_line "$tmp/agent.log" "Connection closed, reconnecting in [0-9]* seconds"
start again network-relay --port "$port" --credentials-file "$tmp/creds.json"
wait_for "the agent's return" has_line "$tmp/again.log" "agent pi: session opened"
kill -0 "$(pid_of stubborn)" || fail "the agent with the wrong secret has given up"
stop stubborn
expect "status of an agent that a signal ends" 143 "$code"
stop again INT
expect "status of a relay that is interrupted" 0 "$code"

# A relay that ends the connection, and has not answered, is none. What it says must make sense.
cat >"$tmp/odd.py" <<'PYTHON'
import asyncio, os, sys
from websockets.legacy.server import serve
async def odd(ws, path):
    await ws.recv()
    if path == "/sense":
        await ws.send('{"inner":{"kind":"keep_alive"}}')
    await ws.close()
async def main():
    async with serve(odd, "127.0.0.1", 0) as s:
        open(sys.argv[1] + ".new", "w").write(str(s.sockets[0].getsockname()[1]))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        await asyncio.Future()
asyncio.run(main())
PYTHON
start odd /usr/bin/python3 "$tmp/odd.py" "$tmp/odd.port"
started_file odd "$tmp/odd.port"
odd=ws://127.0.0.1:$(cat "$tmp/odd.port")
status 1 "Connection closed: Error: .*did not say whether" access-client pi 127.0.0.1 1 tcp --secret x --relay-url "$odd/silence"
status 1 "Connection closed: Error: unknown" access-client pi 127.0.0.1 1 tcp --secret x --relay-url "$odd/sense"
