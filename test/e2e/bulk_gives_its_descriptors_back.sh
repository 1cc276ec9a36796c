#!/bin/sh
# SPDX-License-Identifier: ISC
# Bulk both ways through plain WebSocket with 1, 8 and 50 streams, readers killed in the middle: no byte is wrong, and within 30 s
# relay, agent and client have the descriptors they had before.
# tsan: yes
# limit: 240
. "$(dirname "$0")/lib.sh"

per_round=60000000
[ -z "${TUNNEL_SAN:-}" ] || per_round=16000000
start_tcp echo echo
start_relay relay
start_agent pi
start_connect forward -L "0=pi:127.0.0.1:$tcp_port"
local_port=$(json "$tmp/forward.ready" 'd["local"][0]["port"]')

descriptors() { find "/proc/$(pid_of "$1")/fd" -mindepth 1 | wc -l; }

python3 "$here/bulk.py" "$local_port" 2 1000 0 # names, tables and logs are open now
idle_relay=$(descriptors relay) idle_pi=$(descriptors pi) idle_forward=$(descriptors forward)
for streams in 1 8 50; do
	python3 "$here/bulk.py" "$local_port" "$streams" $((per_round / streams)) 0 || fail "$streams streams"
	python3 "$here/bulk.py" "$local_port" "$streams" $((per_round / streams)) 1 || fail "$streams streams, readers killed"
done
echo "descriptors, idle and after bulk: relay $idle_relay $(descriptors relay), agent $idle_pi $(descriptors pi)," \
	"client $idle_forward $(descriptors forward)"
idle_again() { [ "$(descriptors "$1")" -le "$2" ]; }
settles() { # NAME IDLE
	wait_quietly 30 idle_again "$1" "$2" || fail "$1 has $(descriptors "$1") descriptors, $2 when idle"
}
settles relay "$idle_relay"
settles pi "$idle_pi"
settles forward "$idle_forward"
