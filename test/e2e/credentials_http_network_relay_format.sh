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
refused "an unknown member" '{"edge-agents": {"pi": "s3cret"}, "edge-agnets": {}}'
refused "an empty secret" '{"edge-agents": {"pi": ""}}'
refused "a number" '{"edge-agents": {"pi": 5}}'

# Without credentials only loopback may be listened on.
exit_code "$TUNNEL_BIN" relay --listen 0.0.0.0:0
expect "exit status without credentials" 2 "$code"
has_line "$tmp/err.log" "--credentials" || fail "no advice: $(cat "$tmp/err.log")"
