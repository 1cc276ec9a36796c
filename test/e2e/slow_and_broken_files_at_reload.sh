#!/bin/sh
# SPDX-License-Identifier: ISC
# A credentials file that is slow to come stops nobody, not even the end; signals meanwhile lead to one more reading; a broken file is
# complained of once, and the right one after it is in force.
# tsan: yes
. "$(dirname "$0")/lib.sh"

creds() { printf '{"edge-agents": {"pi": "agent-secret-of-this-test"}, "access-client-secrets": ["%s"]}' "$1"; }
put() {
	cat >"$tmp/creds.new"
	mv "$tmp/creds.new" "$tmp/creds.json"
}
put_fifo() {
	rm -f "$tmp/slow"
	mkfifo "$tmp/slow"
	ln "$tmp/slow" "$tmp/creds.new"
	mv "$tmp/creds.new" "$tmp/creds.json"
}
count() { grep -c -- "$1" "$tmp/relay.log" || true; }
is_count() { [ "$(count "$1")" = "$2" ]; }
again='creds.json: read again'
stay='credentials in use stay'
hello() { "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/$1.secret" pi 127.0.0.1 "$tcp_port" </dev/null; }
let_in() { hello "$1" >/dev/null 2>&1; }
for who in first second third; do
	printf '%s-secret-of-this-test' $who >"$tmp/$who.secret"
	chmod 600 "$tmp/$who.secret"
done

secrets
creds first-secret-of-this-test | put
start_tcp greet greet hello
start_relay relay
start_agent pi
expect "at first" hello "$(hello first)"

put_fifo
exec 5>"$tmp/slow" # returns when the relay reads it
expect "while the file is awaited" hello "$(hello first)"
for _ in $(seq 50); do kill -HUP "$(pid_of relay)"; done
expect "after the signals" hello "$(hello first)"
expect "readings until now" 0 "$(count "$again")"
creds second-secret-of-this-test | put
creds first-secret-of-this-test >&5
exec 5>&-
wait_for "both readings" is_count "$again" 2
expect "the file that came after the slow one" hello "$(hello second)"
exit_code hello first
expect "exit status of whom the slow one named" 3 "$code"

echo '{"edge-agents": {' | put
wait_for "the complaint" has_line "$tmp/relay.log" "$stay"
expect "with a broken file" hello "$(hello second)"
creds third-secret-of-this-test | put
wait_for "the right one" is_count "$again" 3
expect "with the right one" hello "$(hello third)"
expect "complaints" 1 "$(count "$stay")"

# Many signals, and a file that is not there for some of them.
for _ in $(seq 50); do kill -HUP "$(pid_of relay)"; done
rm "$tmp/creds.json"
wait_for "the complaint about no file" has_line "$tmp/relay.log" "cannot open .*creds.json.*$stay"
expect "without a file" hello "$(hello third)"
creds first-secret-of-this-test | put
wait_for "the file that is there again" let_in first

# Whoever waits for a file does not keep the relay from ending.
put_fifo
exec 5>"$tmp/slow"
stop pi
stop relay
expect "exit status of the relay" 0 "$code"
exec 5>&-
