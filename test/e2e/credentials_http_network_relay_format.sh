#!/bin/sh
# SPDX-License-Identifier: ISC
# http-network-relay's credentials file is taken as it is; secrets may be stored as sha256; a bad file is refused at the start.
. "$(dirname "$0")/lib.sh"

secrets
start_tcp greet greet hello
cat >"$tmp/creds.json" <<'JSON'
{
    "edge-agents": {
        "pi": "agent-secret-of-this-test"
    },
    "access-client-secrets": [
        "some-other-secret",
        "client-secret-of-this-test"
    ]
}
JSON
start_relay relay
start_agent pi
expect "as it is" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"
stop pi
stop relay

# Whatever else stands in the file is told and has no effect, and a name is any text.
cat >"$tmp/creds.json" <<'JSON'
{"_note": "ours", "edge-agents": {"Küche 1/\"links\"": "agent-secret-of-this-test", "lab": "l", "Lab": "l"},
 "access-client-secrets": ["client-secret-of-this-test"]}
JSON
start_relay texts
has_line "$tmp/texts.log" 'creds.json: unknown key "_note" has no effect' || fail "an unknown key is not told"
has_line "$tmp/texts.log" '"lab" differ in case only' || has_line "$tmp/texts.log" '"Lab" differ in case only' || fail "two like names are not told"
start_agent any --name 'Küche 1/"links"'
expect "an agent's name that is any text" hello "$(connect 'Küche 1/"links"' 127.0.0.1 "$tcp_port" </dev/null)"
start_connect forward -L "0=Küche 1/\"links\":127.0.0.1:$tcp_port"
expect "the same with -L" hello "$(socat -u "TCP:127.0.0.1:$(json "$tmp/forward.ready" 'd["local"][0]["port"]')" -)"
sed -i 's/_note/_noted/' "$tmp/creds.json"
kill -HUP "$(pid_of texts)"
wait_for "the file to be read again" has_line "$tmp/texts.log" 'unknown key "_noted" has no effect'
stop forward
stop any
stop texts

hash_of() { printf 'sha256:%s' "$(sum_of "$tmp/$1.secret")"; }
printf '{"edge-agents": {"pi": "%s"}, "access-client-secrets": ["%s"]}' "$(hash_of agent)" "$(hash_of client)" >"$tmp/creds.json"
start_relay hashed
start_agent pi
expect "as hashes" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"
printf '%s' "$(hash_of client)" >"$tmp/hash.secret"
chmod 600 "$tmp/hash.secret"
exit_code "$TUNNEL_BIN" connect --relay "$relay_url" --secret-file "$tmp/hash.secret" pi 127.0.0.1 "$tcp_port"
expect "the hash is no secret: exit status" 3 "$code"

refused() {
	printf '%s' "$2" >"$tmp/bad.json"
	exit_code "$TUNNEL_BIN" relay --listen 127.0.0.1:0 --credentials "$tmp/bad.json"
	expect "exit status with $1" 2 "$code"
	has_line "$tmp/err.log" "bad.json" || fail "$1: the file is not named: $(cat "$tmp/err.log")"
	! has_line "$tmp/err.log" "s3cret" || fail "$1: a secret in the message"
}
refused "half a file" '{"edge-agents": {"pi": "s3cret"'
refused "a member twice" '{"edge-agents": {"pi": "s3cret", "pi": "s3cret2"}}'
refused "an unknown member of an entry" '{"edge-agents": {"pi": {"secret": "s3cret", "servics": []}}}'
refused "an empty secret" '{"edge-agents": {"pi": ""}}'
refused "a number" '{"edge-agents": {"pi": 5}}'

# Without credentials only loopback may be listened on.
exit_code "$TUNNEL_BIN" relay --listen 0.0.0.0:0
expect "exit status without credentials" 2 "$code"
has_line "$tmp/err.log" "--credentials" || fail "no advice: $(cat "$tmp/err.log")"
