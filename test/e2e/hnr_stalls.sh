#!/bin/sh
# SPDX-License-Identifier: ISC
# What stalls behind unmodified programs of http-network-relay, which have no flow control: a client that does not read, a target that does not read, an agent
# that does not read. Others go on, another agent always, and the relay's memory stays within its bounds, which are printed.
# limit: 240
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

start_relay relay --max-memory 64m
start_sized
start_tcp stall stall
stall=$tcp_port
start tap "$python" -c '
import os, socket, sys, threading
s = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1] + ".new", "w") as f: f.write(str(s.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
def flood(c):
    try:
        while True: c.sendall(bytes(65536))
    except OSError: pass
while True: threading.Thread(target=flood, args=(s.accept()[0],), daemon=True).start()
' "$tmp/tap.port"
started_file tap "$tmp/tap.port"
tap=$(cat "$tmp/tap.port")
start_agent_of native lab
start_agent_of theirs pi
base=$(rss_kib relay)

# reached AGENT - by a stream of its own.
# shellcheck disable=SC2046
reached() { "$python" "$hnr/sized.py" run 1 100000 100000 $(client_of "${2:-native}") "$1" 127.0.0.1 "$sized_port" tcp >"$tmp/reached.log" 2>&1; }

# bounded WHAT - the relay may keep 64 MiB of streams, and its own needs are far below that again.
bounded() {
	peak=$(peak_kib relay)
	echo "$1: the relay had $((peak / 1024)) MiB at most ($((base / 1024)) at first)"
	[ -n "${TUNNEL_SAN:-}" ] || [ "$peak" -lt $((base + 128 * 1024)) ] || fail "$1: $peak KiB"
}

# ---- a client that does not read, behind either agent ----

for agent in lab pi; do
	start deaf-$agent "$python" "$hnr/access_client.py" --no-read --relay-url "$relay_url$clients_path" --secret "$client_secret" $agent 127.0.0.1 "$tap" tcp
	wait_for "its stream" has_line "$tmp/deaf-$agent.log" start_ok
done
for i in 1 2 3; do
	for agent in lab pi; do
		wait_for "agent $agent beside a client that does not read, $i" reached $agent
		wait_for "the same, for an unmodified client" reached $agent theirs
	done
done
bounded "clients that do not read"
stop deaf-lab KILL
stop deaf-pi KILL

# ---- a target that does not read ----

# Behind an unmodified agent it stops all streams of that agent for good, since the agent itself waits: but nobody else's, and the relay's memory is bounded.
start filler sh -c "exec $(client_of native) pi 127.0.0.1 $stall tcp </dev/zero"
start filler2 sh -c "exec $(client_of native) lab 127.0.0.1 $stall tcp </dev/zero"
start filler3 sh -c "cat /dev/zero | exec $(client_of theirs) lab 127.0.0.1 $stall tcp"
for i in 1 2 3; do
	wait_for "an agent with a stalled target of its own, $i" reached lab
	wait_for "the same, for an unmodified client" reached lab theirs
done
bounded "targets that do not read"
stop filler KILL
stop filler2 KILL
stop filler3 KILL

# ---- an agent that does not read at all ----

stop pi KILL
start_agent_of theirs pi
kill -STOP "$(pid_of pi)"
for i in 1 2 3; do
	start filler$i sh -c "cat /dev/zero | exec $(client_of theirs) pi 127.0.0.1 $stall tcp"
done
for i in 1 2 3; do wait_for "another agent, $i" reached lab theirs; done
bounded "an agent that does not read"
no_violations
