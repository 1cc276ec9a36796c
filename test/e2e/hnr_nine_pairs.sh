#!/bin/sh
# SPDX-License-Identifier: ISC
# Through our relay, agents and clients of http-network-relay and ours in all pairs: ssh with its exit status, transfers each way whose sums are
# checked, 50 streams at once.
# limit: 400
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

start_sshd
start_relay relay
start_sized

# pair AGENT CLIENT - "pi" is an agent of that kind.
pair() {
	began=$(date +%s)
	over() { ssh -F "$tmp/ssh_config" -o "ProxyCommand $(client_of "$2") %h 127.0.0.1 $sshd_port tcp" pi "$3"; }
	expect "ssh, $1 agent and $2 client" "$(sum_of "$tmp/up")" "$(over "$1" "$2" sha256sum <"$tmp/up" 2>"$tmp/ssh-$2.log" | cut -d' ' -f1)"
	over "$1" "$2" "cat $tmp/up" >"$tmp/down" 2>>"$tmp/ssh-$2.log"
	same_files "$tmp/up" "$tmp/down"
	exit_code over "$1" "$2" 'exit 7'
	expect "exit status through ssh, $1 agent and $2 client" 7 "$code"
	# A scripted peer takes and gives 1,024 bytes a message, some thousands a second: 256 MiB would be minutes.
	case $1-$2 in *theirs*) n=4000000 ;; *) n=268435456 ;; esac
	sized "$2" pi 1 "$n" "$n"
	sized "$2" pi 50 60000 90000
	echo "pair $1 $2 took $(($(date +%s) - began)) s"
}

make_data "$tmp/up" 1000000
for agent in $KINDS; do
	start_agent_of "$agent" pi
	for client in $KINDS; do
		pair "$agent" "$client"
	done
	stop pi
done
no_violations
