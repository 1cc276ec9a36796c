#!/bin/sh
# SPDX-License-Identifier: ISC
# A program stops reading for longer than unmodified programs of http-network-relay wait for the answer to a ping, which stands behind what is not
# read: their connection to us lives, all bytes arrive, and another agent of the name is not kept out by one that is not read and has gone.
# limit: 240
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"
WAIT_S=120
STALL_S=45 # 20 s until a ping, and 20 s for its answer
SIZE=40000000

# target.py PORT_FILE WAY STALL_S SIZE - of one connection; "up" reads, late; "down" sends.
cat >"$tmp/target.py" <<'PYTHON'
import os, socket, sys, time
port_file, way, stall_s, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
l = socket.create_server(("127.0.0.1", 0))
open(port_file + ".new", "w").write(str(l.getsockname()[1]))
os.rename(port_file + ".new", port_file)
s = l.accept()[0]
if way == "down":
    s.sendall(bytes(size))
    print("sent", flush=True)
    s.recv(1)
n = 0
time.sleep(stall_s)
while n < size and (b := s.recv(1 << 20)):
    n += len(b)
print("got", n, flush=True)
PYTHON
# late.py STALL_S SIZE - reads standard input late.
cat >"$tmp/late.py" <<'PYTHON'
import sys, time
n = 0
time.sleep(int(sys.argv[1]))
while n < int(sys.argv[2]) and (b := sys.stdin.buffer.read1(1 << 20)):
    n += len(b)
print("got", n, flush=True)
PYTHON

# target NAME WAY - at $port.
target() {
	start "$1" python3 "$tmp/target.py" "$tmp/$1.port" "$2" $STALL_S $SIZE
	started_file "$1" "$tmp/$1.port"
	port=$(cat "$tmp/$1.port")
}

mkfifo "$tmp/open"
exec 3<>"$tmp/open" # standard input that does not end before this script
secrets
sed -i "s/\"edge-agents\": {/&\"pi2\": \"$agent_secret\", /" "$tmp/creds.json"
start_relay relay
start_agent_of native lab --allow '127.0.0.1:*'
for name in pi pi2; do
	start_agent_of theirs $name
	HNR_CHUNK=16384 target "down-$name" down
	start "$name-client" sh -c "$(client_of native) $name 127.0.0.1 $port tcp <'$tmp/open' | python3 '$tmp/late.py' $STALL_S $SIZE"
done
target up up
start client sh -c "(exec 3<&-; head -c $SIZE /dev/zero; cat '$tmp/open') | exec $(client_of theirs) lab 127.0.0.1 $port tcp"

# One that goes while it is not read has a successor at once.
paused() { [ "$(ss -tnH state established "sport = :${relay_url##*:}" | awk '$1 > 0' | wc -l)" -ge 3 ]; }
wait_for "all three to be unread" paused
stop pi2 KILL
WAIT_S=20 start_agent_of theirs pi2

wait_for "the target's bytes" has_line "$tmp/up.log" "got $SIZE"
wait_for "the client's bytes" has_line "$tmp/pi-client.log" "got $SIZE"
! has_line "$tmp/pi.log" "closed:" || fail "the agent was lost: $(cat "$tmp/pi.log")"
! has_line "$tmp/client.log" "1011" || fail "the client gave up: $(cat "$tmp/client.log")"
no_violations
