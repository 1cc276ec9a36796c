#!/bin/sh
# SPDX-License-Identifier: ISC
# What relay, agent and client needed under load goes back to the system when the load has gone, though nobody restarts them.
# limit: 180
. "$(dirname "$0")/lib.sh"
[ -z "${TUNNEL_SAN:-}" ] || exit 0 # a sanitizer keeps what was freed

start_relay relay
start_agent pi
make_data "$tmp/data" 8000000
start_tcp send send "$tmp/data"
start_connect forward -L "0=pi:127.0.0.1:$tcp_port"
local_port=$(json "$tmp/forward.ready" 'd["local"][0]["port"]')

# One connection first, so that what is made once is there. Then 120 that read 256 KiB each and stop.
cat >"$tmp/load.py" <<'PYTHON'
import socket, sys
port, n = map(int, sys.argv[1:])
held = [socket.create_connection(("127.0.0.1", port)) for _ in range(n)]
for s in held:
    s.settimeout(60)
    left = 1 << 18
    while left > 0:
        b = s.recv(left)
        assert b
        left -= len(b)
print("loaded", flush=True)
sys.stdin.read()
PYTHON
python3 "$tmp/load.py" "$local_port" 1 </dev/null
names="relay pi forward"
for name in $names; do rss_kib "$name" >"$tmp/$name.idle"; done

mkfifo "$tmp/hold"
start load sh -c "exec python3 '$tmp/load.py' $local_port 120 <'$tmp/hold' >'$tmp/told'"
exec 3>"$tmp/hold"
wait_for "the load" has_line "$tmp/told" loaded

# The test is one only if there is something to give back: what stands grows until the windows are full.
has_peak() {
	for name in $names; do
		[ "$(peak_kib "$name")" -lt 25000 ] || return 0
	done
	return 1
}
wait_for "25,000 KiB in one of them" has_peak
exec 3>&-
wait_for "the end of the load" is_dead load

is_small() { [ "$(rss_kib "$1")" -le $(($(cat "$tmp/$1.idle") + 12000)) ]; }
for name in $names; do
	settled=yes
	wait_quietly 20 is_small "$name" || settled=no
	echo "$name: $(cat "$tmp/$name.idle") KiB idle, $(peak_kib "$name") at most, $(rss_kib "$name") after"
	[ $settled = yes ] || fail "$name keeps $(rss_kib "$name") KiB"
done
