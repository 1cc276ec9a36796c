#!/bin/sh
# SPDX-License-Identifier: ISC
# A client that is stopped in the middle of bulk costs the relay a bounded amount of memory and of descriptors, and others go on.  When it
# wakes up its streams go on, too.
# tsan: yes
# limit: 180
. "$(dirname "$0")/lib.sh"

total=40000000
[ -z "${TUNNEL_SAN:-}" ] || total=10000000
start_tcp echo echo
start_relay relay --keepalive 60s
start_agent pi --keepalive 60s
start_connect frozen --keepalive 60s -L "0=pi:127.0.0.1:$tcp_port"
frozen_port=$(json "$tmp/frozen.ready" 'd["local"][0]["port"]')
start_connect other -L "0=pi:127.0.0.1:$tcp_port"
other_port=$(json "$tmp/other.ready" 'd["local"][0]["port"]')
descriptors() { find "/proc/$(pid_of "$1")/fd" -mindepth 1 | wc -l; }

python3 "$here/bulk.py" "$other_port" 4 $((total / 4)) 0 || fail "before"
idle=$(descriptors relay) peak=$(peak_kib relay)
start writers python3 "$here/bulk.py" "$frozen_port" 16 $((total * 4 / 16)) 0
opened() { [ "$(grep -c -- "127.0.0.1:$tcp_port: opened" "$tmp/pi.log")" -ge 20 ]; }
wait_for "the streams" opened
kill -STOP "$(pid_of frozen)"

for streams in 1 8 8; do
	python3 "$here/bulk.py" "$other_port" "$streams" $((total / streams)) 0 || fail "$streams streams beside the frozen client"
done
echo "relay: $idle and $(descriptors relay) descriptors, $peak and $(peak_kib relay) KiB at most, before and with the frozen client"
[ "$(descriptors relay)" -le $((idle + 10)) ] || fail "the relay has $(descriptors relay) descriptors, $idle before"
[ -n "${TUNNEL_SAN:-}" ] || [ "$(peak_kib relay)" -lt 100000 ] || fail "the relay grew to $(peak_kib relay) KiB"

kill -CONT "$(pid_of frozen)"
wait_for "the frozen streams" is_dead writers
wait "$(pid_of writers)" || fail "the frozen streams are wrong"
