#!/bin/sh
# SPDX-License-Identifier: ISC
# A self-signed certificate is refused with the flag that helps; --ca and --pin each help; a wrong pin or name does not.
# tsan: yes
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
make_cert relay localhost 127.0.0.1
make_cert other localhost
start_relay relay --tls-cert "$tmp/relay.pem" --tls-key "$tmp/relay.key"
start_agent pi --ca "$tmp/relay.pem"
pin=$(grep -o 'sha256//[A-Za-z0-9+/=]*' "$tmp/relay.keygen.log")
other=$(grep -o 'sha256//[A-Za-z0-9+/=]*' "$tmp/other.keygen.log")

greeting() { connect "$@" pi 127.0.0.1 "$tcp_port" </dev/null; }
expect "with --ca" hello "$(greeting --ca "$tmp/relay.pem")"
expect "with --pin" hello "$(greeting --pin "$pin")"
expect "with two pins" hello "$(greeting --pin "$other" --pin "$pin")"
expect "by address" hello "$(relay_url=wss://127.0.0.1:$relay_port greeting --pin "$pin")"

exit_code greeting
expect "exit status without trust" 1 "$code"
has_line "$tmp/err.log" "self-signed.*add --ca FILE.*--pin $pin" || fail "no advice: $(cat "$tmp/err.log")"
exit_code greeting --pin "$other"
expect "exit status with a wrong pin" 1 "$code"
has_line "$tmp/err.log" "another key than --pin says" || fail "no reason: $(cat "$tmp/err.log")"
exit_code greeting --ca "$tmp/other.pem"
expect "exit status with another authority" 1 "$code"
relay_url=wss://localhost.localdomain:$relay_port
exit_code "$TUNNEL_BIN" connect --relay "wss://[::ffff:127.0.0.1]:$relay_port" --secret-file "$tmp/client.secret" \
	--pin "$pin" pi 127.0.0.1 "$tcp_port"
expect "exit status with another name" 1 "$code"
has_line "$tmp/err.log" "is for .*localhost" || fail "no names: $(cat "$tmp/err.log")"
