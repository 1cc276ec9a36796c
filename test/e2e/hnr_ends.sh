#!/bin/sh
# SPDX-License-Identifier: ISC
# How streams end between our programs and unmodified ones of http-network-relay: what each local program sees (bytes, end, reset, exit status). An end
# that the protocol can tell is told, what is cut does not look whole where it can tell, and where an agent reports no end, all bytes still arrive.
# limit: 200
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"
WAIT_S=60 # an agent without ends is given 30 s

secrets
sed -i "s/\"edge-agents\": {/&\"pi2\": \"$agent_secret\", \"lab2\": \"$agent_secret\", /" "$tmp/creds.json"
start_relay relay
make_data "$tmp/file" 3000000
start_tcp send send "$tmp/file"
send=$tcp_port
start_tcp reset reset
reset=$tcp_port
start_tcp hold hold
hold=$tcp_port
start_agent_of native lab --allow '127.0.0.1:*'
start_agent_of theirs pi

mkfifo "$tmp/open"
exec 3<>"$tmp/open" # standard input that does not end

# start_client NAME KIND AGENT PORT - in the background, its output to $tmp/NAME.out.
start_client() {
	rm -f "$tmp/$1.out" "$tmp/$1.log"
	start "$1" sh -c "exec $(client_of "$2") $3 127.0.0.1 $4 tcp <'$tmp/open' >'$tmp/$1.out'"
}

# start_held NAME KIND AGENT - the same with an idle stream.
start_held() {
	start_client "$1" "$2" "$3" "$hold"
	wait_for "a stream of $1" has_line "$tmp/$1.out" 127.0.0.1:
}

# ends NAME - its exit status in $code.
ends() {
	wait_for "the end of $1" is_dead "$1"
	code=0
	wait "$(pid_of "$1")" || code=$?
}

# says NAME PATTERN
says() { has_line "$tmp/$1.log" "$2" || fail "$1 says: $(cat "$tmp/$1.log")"; }

# ---- the target ends ----

# A native agent reports it: an unmodified client gets all bytes, then close 1000 without a reason, and exits with 0.
exit_code a_client theirs lab 127.0.0.1 "$send" </dev/null
same_files "$tmp/file" "$tmp/out"
expect "exit status after the target's end" 0 "$code"
has_line "$tmp/err.log" "closed: code 1000, reason ''" || fail "the target's end is told otherwise: $(cat "$tmp/err.log")"

# A reset has a reason in the close; the reference has no other way to say it.
printf x | exit_code a_client theirs lab 127.0.0.1 "$reset"
has_line "$tmp/err.log" "closed: code 1000, reason '..*'" || fail "the target's reset is told otherwise: $(cat "$tmp/err.log")"

# An unmodified agent reports neither; what it notices, while it writes, is a reset. Nobody waits for standard input that does not end.
exit_code sh -c "yes | $(client_of native) pi 127.0.0.1 $reset tcp"
expect "exit status after an agent's connection_reset" 1 "$code"
has_line "$tmp/err.log" "Connection reset while writing data" || fail "the reset is told otherwise: $(cat "$tmp/err.log")"

# A client of ours that has said all it has to say waits until nothing came for 30 s, and does not call that an end. The rest goes on meanwhile.
start waiting sh -c "exec $(client_of native) pi 127.0.0.1 $send tcp >'$tmp/waiting.out'"
waiting_since=$(date +%s)

# ---- the client ends ----

# What the target "hold" has seen of ends and resets.
gone() { cat "$tmp/hold.port.got" "$tmp/hold.log" 2>/dev/null | wc -l; }
one_more_gone() { [ "$(gone)" -gt "$before" ]; }

for agent in pi lab; do
	for client in theirs native; do
		for signal in TERM KILL; do
			case $agent-$client in lab-native) continue ;; esac
			start_held held $client $agent
			before=$(gone)
			stop held $signal
			wait_for "the target behind $agent to hear that a client ($client) has ended by $signal" one_more_gone
		done
	done
done

# ---- the agent is lost, in the middle of a download ----

for agent in theirs native; do
	[ $agent = theirs ] && name=pi2 || name=lab2
	start_agent_of $agent "$name"
	start_held held-theirs theirs "$name"
	start_held held-native native "$name"
	rm -f "$tmp/forwarded"
	start_connect forward-$agent -L "0=$name:127.0.0.1:$hold"
	python3 - "$(json "$tmp/forward-$agent.ready" 'd["local"][0]["port"]')" >"$tmp/forwarded" <<-'PYTHON' &
		import socket, sys
		s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		print("read", s.recv(100).startswith(b"127.0.0.1"), flush=True)
		try:
		    print("read", s.recv(100), flush=True)
		except ConnectionResetError:
		    print("reset", flush=True)
	PYTHON
	forwarded=$!
	wait_for "a stream of -L" has_line "$tmp/forwarded" "read True"
	stop "$name" KILL
	ends held-theirs
	expect "exit status of an access-client without its agent" 0 "$code"
	says held-theirs "closed: code 1000, reason '..*'"
	ends held-native
	expect "exit status of connect without its agent" 1 "$code"
	wait $forwarded
	expect "what a program sees through -L" reset "$(tail -n 1 "$tmp/forwarded")"
	stop forward-$agent
done

# ---- the one that waits ----

ends waiting
expect "exit status without an end" 1 "$code"
same_files "$tmp/file" "$tmp/waiting.out"
[ $(($(date +%s) - waiting_since)) -ge 25 ] || fail "it waited $(($(date +%s) - waiting_since)) s only"

# ---- the relay ends ----

start_held held theirs pi
stop relay
ends held
expect "exit status of an access-client without its relay" 0 "$code"
wait_for "the agent to notice" has_line "$tmp/pi.log" "closed: code"
no_violations
