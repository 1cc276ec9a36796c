#!/bin/sh
# SPDX-License-Identifier: ISC
# With 64 descriptors for relay, agent and client each, bulk passes as it always did: nobody runs out of them for the sake of speed.
# limit: 180
. "$(dirname "$0")/lib.sh"

total=40000000
[ -z "${TUNNEL_SAN:-}" ] || total=10000000
start_tcp echo echo
limits="ulimit -n 64"
secrets
start relay sh -c "$limits; exec '$TUNNEL_BIN' relay --listen 127.0.0.1:0 --credentials '$tmp/creds.json' --ready-file '$tmp/relay.ready' \
	--threads 4 --log-level debug"
started_file relay "$tmp/relay.ready"
relay_url=ws://127.0.0.1:$(json "$tmp/relay.ready" 'd["tunnel"][0]["port"]')
start pi sh -c "$limits; exec '$TUNNEL_BIN' agent --relay '$relay_url' --name pi --secret-file '$tmp/agent.secret' \
	--ready-file '$tmp/pi.ready' --log-level debug"
started_file pi "$tmp/pi.ready"
start forward sh -c "$limits; exec '$TUNNEL_BIN' connect --relay '$relay_url' --secret-file '$tmp/client.secret' \
	--ready-file '$tmp/forward.ready' --log-level debug -L '0=pi:127.0.0.1:$tcp_port'"
started_file forward "$tmp/forward.ready"
local_port=$(json "$tmp/forward.ready" 'd["local"][0]["port"]')

for name in relay pi forward; do
	grep -q "^Max open files *64 " "/proc/$(pid_of $name)/limits" || fail "$name has another limit"
done
# Each stream is a descriptor of the agent's and of the client's: 32 of 64 leave what else they need.
for streams in 1 8 32; do
	python3 "$here/bulk.py" "$local_port" "$streams" $((total / streams)) 0 || fail "$streams streams"
done
python3 "$here/bulk.py" "$local_port" 32 $((total / 32)) 1 || fail "readers killed"
! grep -il "too many open files\|out of file descriptors" "$tmp"/*.log || fail "somebody ran out of descriptors"
