#!/bin/sh
# SPDX-License-Identifier: ISC
# A client and an agent written from PROTOCOL.md alone work with ours, and find no fault in what ours send; so do
# visitors of the ports that this agent publishes.
# limit: 180
. "$(dirname "$0")/lib.sh"

python=/usr/bin/python3 # the interpreter that python3-websockets belongs to

make_data "$tmp/file" 10000000
secrets
sed -i 's/"edge-agents": {/&"theirs": "agent-secret-of-this-test", /' "$tmp/creds.json"
public=$(free_ports 4)
start_relay relay --ports "$public"
ports="\"closed\": $(free_port)"
for mode in echo hash "send $tmp/file" reset stall; do
	# shellcheck disable=SC2086
	start_tcp "${mode%% *}" $mode
	ports="$ports, \"${mode%% *}\": $tcp_port"
done
start_udp udp echo
ports="$ports, \"udp\": $udp_port"
port() { echo "{$ports}" | json /dev/stdin "d['$1']"; }

# faultless WHAT - the last line of a log counts.
faultless() { has_line "$tmp/$1.log" '^0 violations' || fail "$1: $(tail -n 1 "$tmp/$1.log")"; }

# client AGENT
client() {
	PYTHONDONTWRITEBYTECODE=1 "$python" "$here/py_client.py" "$relay_url" "$tmp/client.secret" "$1" "{$ports}" "$tmp/file" \
		>"$tmp/client-of-$1.log" 2>&1 || fail "their client and the agent $1"
	cat "$tmp/client-of-$1.log"
	faultless "client-of-$1"
}

start_agent pi
client pi &
pi_client=$!
start theirs "$python" "$here/py_tunnel.py" "$relay_url" "$tmp/agent.secret" theirs "$tmp/theirs.ready" \
	"hash=$(port hash):${public#*-}" "udp:dgram=$(port udp):${public#*-}" "echo=$(port echo)" "taken=$(port echo):${public#*-}" "far=$(port echo):1"
started_file theirs "$tmp/theirs.ready"
client theirs
wait "$pi_client" || fail "their client and our agent"

# transfers ECHO HASH - whole and half, to and fro, on those two ports.
transfers() {
	for n in 0 1 2 100 5000 200000 10000000; do python3 "$here/bulk.py" "$1" 1 $n 0; done
	python3 "$here/bulk.py" "$1" 100 200000 0
	python3 "$here/bulk.py" "$1" 20 2000000 1
	for n in 0 1 200000; do
		make_data "$tmp/up" $n
		expect "$n bytes and their sum" "$(sum_of "$tmp/up") $n" "$(socat -t 20 - "TCP:127.0.0.1:$2" <"$tmp/up")"
	done
}

expect "the port that was asked for" "127.0.0.1:${public#*-}" "$(json "$tmp/theirs.ready" "d['services']['hash']['public']")"
expect "refused ports" "['far', 'taken']" "$(json "$tmp/theirs.ready" "sorted(d['refused'])")"
expect "an echo through their port of UDP" "to and fro" "$(printf 'to and fro' | socat -T 1 - "UDP4:127.0.0.1:${public#*-}")"
visited=$(json "$tmp/theirs.ready" "d['services']['echo']['port']")
transfers "$visited" "${public#*-}"
kill -USR1 "$(cat "$tmp/theirs.pid")"
withdrawn() { [ "$(json "$tmp/theirs.ready" "d['services']")" = "{}" ]; }
wait_for "the services to be withdrawn" withdrawn
! port_is_open "$visited" || fail "a port stays open after its service was withdrawn"

start_connect forward -L "0=theirs:127.0.0.1:$(port echo)" -L "0=theirs:127.0.0.1:$(port hash)"
port_of() { json "$tmp/forward.ready" "d['local'][$1]['port']"; }
transfers "$(port_of 0)" "$(port_of 1)"
stop forward
expect "our client's exit status" 0 "$code"
stop theirs
expect "their agent's exit status" 0 "$code"
cat "$tmp/theirs.log"
faultless theirs

# The same agent logs in by a key of OpenSSL's, whose group is another first: carriers by key, both ways.
make_key relay
openssl ecparam -name prime256v1 -genkey -noout -out "$tmp/openssl.key" 2>/dev/null
openssl req -x509 -new -key "$tmp/openssl.key" -subj /CN=any -days 1 -out "$tmp/openssl.pem" 2>/dev/null
theirs=tunnel-pub-$(openssl ec -in "$tmp/openssl.key" -pubout -conv_form compressed -outform DER 2>/dev/null |
	tail -c 33 | base64 -w 0 | tr '+/' '-_')
printf '{"edge-agents": {"theirs": {"key": "%s"}}, "access-client-secrets": ["client-secret-of-this-test"]}' "$theirs" >"$tmp/creds.json"
start_relay keyed --key-file "$tmp/relay.key"
start by-key env TUNNEL_PY_KEY="$tmp/openssl.key" TUNNEL_PY_CERT="$tmp/openssl.pem" TUNNEL_PY_RELAY="$(public_key relay)" \
	"$python" "$here/py_tunnel.py" "$relay_url" "$tmp/agent.secret" theirs "$tmp/by-key.ready"
started_file by-key "$tmp/by-key.ready"
start_connect forward -L "0=theirs:127.0.0.1:$(port echo)" -L "0=theirs:127.0.0.1:$(port hash)"
transfers "$(port_of 0)" "$(port_of 1)"
stop forward
stop by-key
expect "exit status of their agent by key" 0 "$code"
faultless by-key
