#!/bin/sh
# SPDX-License-Identifier: ISC
# Keys, secrets and certificates of tunnel keygen: the files' modes, nothing overwritten, and openssl agrees.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fail() {
	echo "$*" >&2
	exit 1
}

# code N COMMAND... - runs it and insists on its exit status; output goes to the file out, errors to err.
code() {
	expected=$1
	shift
	rc=0
	"$@" >out 2>err </dev/null || rc=$?
	[ $rc = "$expected" ] || fail "exit status $rc, not $expected: $*: $(cat err)"
}

# ---- key pairs ----

code 0 "$TUNNEL_BIN" keygen
[ "$(wc -l <out)" = 2 ] || fail "a pair is two lines"
head -n 1 out | grep -qxE 'tunnel-priv-[A-Za-z0-9_-]{43}' || fail "private key: $(head -n 1 out)"
tail -n 1 out | grep -qxE 'tunnel-pub-[A-Za-z0-9_-]{44}' || fail "public key: $(tail -n 1 out)"
[ "$(head -n 1 out | "$TUNNEL_BIN" keygen --pub)" = "$(tail -n 1 out)" ] || fail "--pub gives another key"

code 0 "$TUNNEL_BIN" keygen -o pi.key
[ "$(stat -c %a pi.key)" = 600 ] || fail "mode of the private key: $(stat -c %a pi.key)"
cmp -s out pi.key.pub || fail "the public key is printed and saved"
[ "$("$TUNNEL_BIN" keygen --pub pi.key)" = "$(cat pi.key.pub)" ] || fail "the saved halves differ"
cp pi.key kept
code 1 "$TUNNEL_BIN" keygen -o pi.key
grep -q 'not overwritten' err || fail "says: $(cat err)"
rm pi.key.pub
code 1 "$TUNNEL_BIN" keygen -o pi.key
[ ! -e pi.key.pub ] || fail "half a pair was left"
cmp -s pi.key kept || fail "the private key was overwritten"

echo "tunnel-priv-hunter2" >bad
code 2 "$TUNNEL_BIN" keygen --pub bad
! grep -q hunter2 err || fail "the private key is in the error"
code 1 "$TUNNEL_BIN" keygen --pub nowhere
code 2 "$TUNNEL_BIN" keygen --pub --secret
code 2 "$TUNNEL_BIN" keygen stray

# ---- secrets ----

code 0 "$TUNNEL_BIN" keygen --secret
secret=$(head -n 1 out)
[ ${#secret} = 43 ] || fail "a secret of ${#secret} characters"
[ "$(tail -n 1 out)" = "sha256:$(printf %s "$secret" | sha256sum | cut -d' ' -f1)" ] || fail "digest: $(tail -n 1 out)"
code 0 "$TUNNEL_BIN" keygen --secret -o pi.secret
[ "$(stat -c %a pi.secret)" = 600 ] || fail "mode of the secret"
[ "$(cat out)" = "sha256:$(tr -d '\n' <pi.secret | sha256sum | cut -d' ' -f1)" ] || fail "digest of the file"

# ---- certificates ----

code 0 "$TUNNEL_BIN" keygen --self-signed t.example.com '*.t.example.com' 127.0.0.1 ::1
pin=$(cat out)
[ "$(stat -c %a tunnel-key.pem)" = 600 ] || fail "mode of the key"
for name in t.example.com a.t.example.com; do
	openssl verify -CAfile tunnel-cert.pem -purpose sslserver -verify_hostname $name tunnel-cert.pem >/dev/null || fail "$name"
done
openssl verify -CAfile tunnel-cert.pem -verify_ip 127.0.0.1 tunnel-cert.pem >/dev/null || fail "127.0.0.1"
openssl verify -CAfile tunnel-cert.pem -verify_ip ::1 tunnel-cert.pem >/dev/null || fail "::1"
! openssl verify -CAfile tunnel-cert.pem -verify_hostname example.com tunnel-cert.pem >/dev/null 2>&1 || fail "another name"
spki=$(openssl pkey -in tunnel-key.pem -pubout -outform der | openssl dgst -sha256 -binary | base64)
[ "$pin" = "sha256//$spki" ] || fail "pin $pin, openssl says $spki"
openssl x509 -in tunnel-cert.pem -noout -checkend $((824 * 86400)) >/dev/null || fail "not valid for 825 days"
cp tunnel-cert.pem kept
code 1 "$TUNNEL_BIN" keygen --self-signed t.example.com
cmp -s tunnel-cert.pem kept || fail "the certificate was overwritten"
rm tunnel-cert.pem
code 1 "$TUNNEL_BIN" keygen --self-signed t.example.com
[ ! -e tunnel-cert.pem ] || fail "a certificate without its key was left"
code 0 "$TUNNEL_BIN" keygen --self-signed --cert c.pem --key k.pem --days 1 localhost
! openssl x509 -in c.pem -noout -checkend 90000 >/dev/null || fail "--days 1 lasts longer"
code 2 "$TUNNEL_BIN" keygen --self-signed
code 2 "$TUNNEL_BIN" keygen --self-signed 'no host'
code 2 "$TUNNEL_BIN" keygen --self-signed --days 0 localhost

# What says nothing without --self-signed must not pass for it: a private key would be shown on the screen.
for option in --cert=c2.pem --key=k2.pem --days=5; do
	code 2 "$TUNNEL_BIN" keygen "$option"
	[ ! -s out ] || fail "keygen $option printed something"
done
