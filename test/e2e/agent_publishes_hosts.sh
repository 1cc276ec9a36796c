#!/bin/sh
# SPDX-License-Identifier: ISC
# Web services by host: each form of --http, what the ready file and the log say, whose a host is when two want it, what the
# credentials allow and a reload forbids, an agent that is away, restarts, random names, users and their file.
# tsan: yes
# limit: 200
. "$(dirname "$0")/lib.sh"

# start_web NAME - a service that says its name: $web_port.
start_web() {
	start "$1" python3 "$here/web_service.py" "$tmp/$1.port" "$1"
	started_file "$1" "$tmp/$1.port"
	web_port=$(cat "$tmp/$1.port")
}
# at HOST - the service that answers there, or the status; status HOST [OPTION...] of curl.
status() {
	status_host=$1
	shift
	curl -sS --max-time 40 -o "$tmp/body" -w '%{http_code}' -H "Host: $status_host" "$@" "http://127.0.0.1:$http_port/name"
}
at() {
	got=$(status "$@")
	[ "$got" != 200 ] || got=$(cat "$tmp/body")
	echo "$got"
}
is_at() { [ "$(at "$1")" = "$2" ]; }
url() { json "$tmp/$1.ready" "' '.join(s['url'] for s in d['services'] if s['service'] == '$2')"; }
host_of() { url "$1" "$2" | sed 's|.*//||; s|:.*||'; }
refused() { json "$tmp/$1.ready" "' '.join(s['service'] for s in d['refused'])"; }
# creds PI - what pi's entry says, beside its secret.
creds() {
	printf '{"edge-agents": {"pi": {"secret": "agent-secret-of-this-test"%s}, "Lab": "agent-secret-of-this-test",
		"den": {"secret": "agent-secret-of-this-test", "hosts": ["shop", "*.acme.test"]}},
		"access-client-secrets": ["client-secret-of-this-test"]}' "$1" >"$tmp/creds.new"
	mv "$tmp/creds.new" "$tmp/creds.json"
}
start_web_relay() {
	start_relay relay --http "127.0.0.1:${http_port:-0}" --grace 500ms "$@"
	http_port=$(json "$tmp/relay.ready" 'd["http"][0]["port"]')
}

start_web one
one=$web_port
start_web two
two=$web_port
secrets
creds ', "hosts": ["pi", "shop", "lab", "*.acme.test", "random"]'
mkdir "$tmp/state"
start_web_relay --domain t.test --domain u.test --state "$tmp/state"

# ---- each form ----
printf 'ann:open sesame\n# nobody\n\nbob:sha256:%s\n' "$(printf secret | sha256sum | cut -d' ' -f1)" >"$tmp/users"
start_agent pi --http "$one" --http "shop=127.0.0.1:$two" --http "WWW.Acme.test.=$one" --http "*.acme.test=$two" \
	--http "random=$one" --http "lab=$one" --http "other=$one" --http "key.acme.test=$two;auth=$tmp/users;header+=X-A: b"
expect "its own name" "http://pi.t.test:$http_port" "$(url pi http)"
expect "a label" "http://shop.t.test:$http_port" "$(url pi http-shop)"
expect "a name" "http://www.acme.test:$http_port" "$(url pi http-www.acme.test)"
expect "a wildcard" "http://*.acme.test:$http_port" "$(url pi http--.acme.test)"
expect "refused" "http-lab http-other" "$(refused pi)"
has_line "$tmp/pi.log" "published: http http-shop (127.0.0.1:$two) at http://shop.t.test:$http_port\$" || fail "the log does not tell of shop"
has_line "$tmp/pi.log" 'not published: http http-lab .*: lab.t.test is kept for the agent of that name, Lab' || fail "nothing about lab"
has_line "$tmp/pi.log" 'not published: http http-other .*: the credentials do not allow this agent' || fail "nothing about other"
expect "curl at the URL" one "$(curl -sS --max-time 40 --resolve "pi.t.test:$http_port:127.0.0.1" "$(url pi http)/name")"
expect "at its own name" one "$(at PI.t.test.)"
expect "under the other domain" two "$(at shop.u.test)"
expect "at the name" one "$(at www.acme.test)"
expect "under the wildcard" two "$(at ftp.acme.test)"
expect "at two labels under it" two "$(at a.b.acme.test)"
expect "at the random one" one "$(at "$(host_of pi http-random)")"
expect "under its own name" 404 "$(at x.pi.t.test)"
expect "at nobody's" 404 "$(at other.t.test)"
expect "at an agent's that is away" 503 "$(at lab.t.test)"
expect "for nobody" 401 "$(at key.acme.test)"
expect "for somebody" two "$(at key.acme.test -u 'ann:open sesame')"
expect "for another" two "$(at key.acme.test -u bob:secret)"
expect "with another's password" 401 "$(at key.acme.test -u ann:secret)"
! grep -rq -e 'open sesame' "$tmp/relay.log" "$tmp/pi.log" || fail "a password is in a log"
expect "a client's way" one "$(printf 'GET /name HTTP/1.0\r\n\r\n' | connect pi http | tail -n 1)"
random=$(host_of pi http-random)

# ---- two want one ----
start_agent den --http "shop=$one" --http "deep.acme.test=$one"
expect "of two the holder keeps it" "http-shop" "$(refused den)"
expect "at the holder's" two "$(at shop.t.test)"
expect "the longer name goes before" one "$(at deep.acme.test)"
stop den
stop pi
expect "at an agent's that has gone" 503 "$(at pi.t.test)"
wait_for "the grace period to end" is_at shop.t.test 404
start_agent den --http "shop=$one"
expect "what is nobody's any more" "http://shop.t.test:$http_port" "$(url den http-shop)"
expect "at the new holder's" one "$(at shop.t.test)"

# ---- restarts ----
config() {
	printf '%s' "$1" >"$tmp/new.json"
	mv "$tmp/new.json" "$tmp/pi.json"
}
config "{\"http\": [\"$one\", \"random=$one\"]}"
start_agent pi --config "$tmp/pi.json"
expect "the random name of another process" "$random" "$(host_of pi http-random)"
stop relay
start_web_relay --listen "127.0.0.1:$relay_port" --domain t.test --state "$tmp/state"
wait_for "the random name after the relay's restart" is_at "$random" one
expect "the random name" "$random" "$(host_of pi http-random)"
stop relay
start_web_relay --listen "127.0.0.1:$relay_port" --domain t.test
wait_for "the random name that the agent asks for" is_at "$random" one

# ---- SIGHUP of the agent ----
config "{\"http\": [\"$two\", \"shop.t.test=$one\", \"in.acme.test=$one;auth=$tmp/users\"]}"
kill -HUP "$(pid_of pi)"
wait_for "what is new" is_at in.acme.test 401
expect "another target" two "$(at pi.t.test)"
expect "what is no longer asked for" 404 "$(at "$random")"
expect "the holder's" one "$(at shop.t.test)"
printf 'ann:other\n' >"$tmp/users"
kill -HUP "$(pid_of pi)"
is_new_password() { [ "$(at in.acme.test -u ann:other)" = one ]; }
wait_for "the new password" is_new_password
expect "the old one" 401 "$(at in.acme.test -u 'ann:open sesame')"
printf 'ann\n' >"$tmp/users"
kill -HUP "$(pid_of pi)"
wait_for "the mistake" has_line "$tmp/pi.log" 'http-in.acme.test: auth: .*users: line 1: .*; the configuration in use stays'
expect "the password in use" one "$(at in.acme.test -u ann:other)"

# One that does not come holds up nothing, and not the end either.
mkfifo "$tmp/slow"
config "{\"http\": [\"$one;auth=$tmp/slow\"]}"
kill -HUP "$(pid_of pi)"
start writer python3 -c 'import os, signal, sys
os.open(sys.argv[1], os.O_WRONLY)
open(sys.argv[2], "w").close()
signal.pause()' "$tmp/slow" "$tmp/writer.ready"
started_file writer "$tmp/writer.ready"
expect "meanwhile" two "$(at pi.t.test)"
stop pi
expect "exit status while a file of users is awaited" 0 "$code"
stop writer
config "{\"http\": [\"$two\", \"in.acme.test=$one;auth=$tmp/good\"]}"
printf 'ann:other\n' >"$tmp/good"
start_agent pi --config "$tmp/pi.json"

# ---- reload of the relay ----
stop den
creds ', "hosts": ["in.acme.test"]'
kill -HUP "$(pid_of relay)"
wait_for "what is not allowed any more to end" is_at pi.t.test 404
expect "what is allowed" 401 "$(at in.acme.test)"
stop pi
stop relay

# ---- any domain, another proxy ----
creds ''
start_web_relay --domain '*' --public-url https://people.test
start_agent pi --http "$one"
expect "the URL behind another proxy" "https://pi.people.test" "$(url pi http)"
expect "under any domain" one "$(at pi.anything.test)"
expect "another first label" 404 "$(at www.pi.test)"
expect "of an agent that is away" 503 "$(at lab.anything.test)"
stop pi
stop relay

# A relay without the web has words for that.
start_relay relay
start_agent pi --http "$one"
expect "refused by a relay without the web" "http" "$(refused pi)"
has_line "$tmp/pi.log" 'this relay has no web addresses (--http, --https)' || fail "it is not said why"
