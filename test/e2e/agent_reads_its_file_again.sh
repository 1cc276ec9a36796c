#!/bin/sh
# SPDX-License-Identifier: ISC
# SIGHUP with --config: services that came are published, those that went withdrawn, what is open goes on; a broken file, one that is
# slow, and what needs a restart change nothing.
# tsan: yes
. "$(dirname "$0")/lib.sh"

range=$(free_ports 4)
first=${range%-*} last=${range#*-}
public() { json "$tmp/pi.ready" "' '.join(s['service'] + '@' + s['public'][10:] for s in d['services'])"; }
is_public() { [ "$(public)" = "$1" ]; }
# config TEXT - and the agent is told.
config() {
	printf '%s' "$1" >"$tmp/new.json"
	mv "$tmp/new.json" "$tmp/pi.json"
	kill -HUP "$(pid_of pi)"
}

start_tcp one greet one
one=$tcp_port
start_tcp two greet two
two=$tcp_port
start_tcp hold hold
start_relay relay --ports "$range"
printf '{"tcp": ["ssh=%s;public=%s", "gone=%s;public=%s", "hold=%s"], "allow": ["127.0.0.1:%s"]}' \
	"$one" "$first" "$one" "$last" "$tcp_port" "$one" >"$tmp/pi.json"
start_agent pi --config "$tmp/pi.json"
expect "at the start" "ssh@$first gone@$last" "$(public)"
# A stream that is open all the time.
mkfifo "$tmp/keep"
exec 8<>"$tmp/keep"
# shellcheck disable=SC2016
start client sh -c 'exec "$@" <"$0"' "$tmp/keep" "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/client.secret" pi hold
wait_for "a stream" has_line "$tmp/pi.log" "hold=127.0.0.1:$tcp_port: opened"

# One goes, one comes at its port, one has another target and another rule.
config "{\"tcp\": [\"ssh=$two;public=$first;max-connections=5\", \"came=$one;public=$last\", \"auto=$two\"],
	\"allow\": [\"127.0.0.1:$two\"], \"max-streams\": 77}"
wait_for "the new services" is_public "ssh@$first came@$last auto@$((first + 1))"
has_line "$tmp/pi.log" 'withdrawn: tcp gone' || fail "the log does not tell of what went"
has_line "$tmp/pi.log" 'of what has changed this needs a restart: max-streams$' || fail "the log does not tell of max-streams"
visit() {
	python3 -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
s.shutdown(1)
print(s.makefile().read())' "$1"
}
expect "at the port of two services" one "$(visit "$last")"
expect "another target" two "$(visit "$first")"
expect "an allowed target" two "$(connect pi 127.0.0.1 "$two" </dev/null)"
exit_code connect pi 127.0.0.1 "$one" </dev/null
expect "status of a target that is no longer allowed" 3 "$code"
exit_code connect pi gone </dev/null
expect "status of a service that is gone" 1 "$code"

# Broken ones.
config '{"tcp": ["ssh=22;pulbic=2222"]}'
wait_for "the mistake" has_line "$tmp/pi.log" 'did you mean "public"?; the configuration in use stays'
config '{"tcp": '
wait_for "the other mistake" has_line "$tmp/pi.log" 'pi.json: .*; the configuration in use stays'
rm "$tmp/pi.json"
kill -HUP "$(pid_of pi)"
wait_for "the third mistake" has_line "$tmp/pi.log" 'cannot open .*; the configuration in use stays'
is_public "ssh@$first came@$last auto@$((first + 1))" || fail "a broken file has changed what is published"

# One that is slow: the agent works on, and ends while it waits.
mkfifo "$tmp/pi.json"
kill -HUP "$(pid_of pi)"
expect "while the file is read" two "$(visit "$first")"
printf '{"tcp": "ssh=%s;public=%s"}' "$one" "$first" >"$tmp/pi.json"
wait_for "what the slow file says" is_public "ssh@$first"
expect "the first target again" one "$(visit "$first")"
kill -HUP "$(pid_of pi)"

# What was open is open.
expect "streams that ended with the configuration" '' "$(grep 'hold.*closed' "$tmp/pi.log" || true)"
! is_dead client || fail "the open stream has ended"
stop client
stop pi
expect "exit status" 0 "$code"
