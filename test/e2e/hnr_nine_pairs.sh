#!/bin/sh
# SPDX-License-Identifier: ISC
# Through our relay, agents and clients of http-network-relay and ours in all pairs: ssh with its exit status, transfers each way whose sums are
# checked, 50 streams at once.
# limit: 600
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

start_sshd
start_relay relay
start_sized

make_data "$tmp/up" 1000000
for agent in $KINDS; do
	start_agent_of "$agent" pi
	for client in $KINDS; do
		# A scripted peer takes and gives 1,024 bytes a message, some thousands a second: 256 MiB would be minutes.
		case $agent-$client in *theirs*) large=2000000 ;; *) large=268435456 ;; esac
		pair "$agent" "$client" $large
	done
	stop pi
done
no_violations
