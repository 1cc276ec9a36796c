#!/bin/sh
# SPDX-License-Identifier: ISC
# What our relay refuses to unmodified programs of http-network-relay, by the texts, close codes and exit statuses of the reference; what a client of
# ours is told when an unmodified agent refuses.
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

start_relay relay
start_tcp greet greet hello

# told WHO TEXT CODE - the standard error of the command that was run last.
told() {
	has_line "$tmp/err.log" "$2" || fail "$1 is told: $(cat "$tmp/err.log")"
	expect "exit status of $1" "$3" "$code"
}

# refused KIND TEXT WORD... - an unmodified client with these words is told the text, closed with 1000, and exits with 0.
refused() {
	text=$1
	shift
	# shellcheck disable=SC2046
	exit_code $(client_of theirs) "$@" </dev/null
	told "an access-client for $*" "error: $text\$" 0
	has_line "$tmp/err.log" "closed: code 1000, reason ''" || fail "its WebSocket ended otherwise: $(cat "$tmp/err.log")"
	! [ -s "$tmp/out" ] || fail "it wrote $(cat "$tmp/out")"
}

refused "Agent not registered" pi 127.0.0.1 22 tcp
refused "Invalid access client secret" pi 127.0.0.1 22 tcp --secret wrong
refused "Invalid access client secret" nobody 127.0.0.1 22 tcp --secret ''
start_agent_of theirs pi
refused "Error initiating connection: .Errno 111. Connect call failed ('127.0.0.1', 1)" pi 127.0.0.1 1 tcp
refused "Error initiating connection: Unsupported protocol: udp" pi 127.0.0.1 22 udp
refused "Error initiating connection: .Errno -[0-9]*. .*" pi nobody.invalid 22 tcp
start_agent_of native lab --allow '127.0.0.1:*'
refused "Error initiating connection: .*refused.*" lab 127.0.0.1 1 tcp
refused "Error initiating connection: Unsupported protocol: udp" lab 127.0.0.1 22 udp
refused "Error initiating connection: .*not allow.*" lab 127.0.0.2 22 tcp

# The same agent and a client of ours.
exit_code a_client native pi 127.0.0.1 1 </dev/null
told "connect" "Connect call failed ('127.0.0.1', 1)" 1
exit_code connect pi ssh </dev/null
told "connect, of a service by name," "no services by name" 1

# An agent that is refused is closed with 1000 and not told why; it never gives up.
for wrong in "--secret wrong" "--name nobody"; do
	# shellcheck disable=SC2086
	start wrong "$python" "$hnr/edge_agent.py" --relay-url "$relay_url$agents_path" --name lab2 --secret "$agent_secret" $wrong
	wait_for "the refusal" has_line "$tmp/wrong.log" "closed: code 1000, reason ''"
	twice() { [ "$(grep -c "closed: code 1000" "$tmp/wrong.log")" -ge 2 ]; }
	wait_for "the next try" twice
	stop wrong
	rm "$tmp/wrong.log"
done

# Secrets of either are in no log of ours.
! grep -l "$agent_secret\|$client_secret" "$tmp/relay.log" "$tmp/lab.log" || fail "a secret in a log"
no_violations
