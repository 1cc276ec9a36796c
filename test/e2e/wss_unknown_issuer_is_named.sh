#!/bin/sh
# SPDX-License-Identifier: ISC
# A certificate that a corporate proxy made is refused with its issuer's name, and accepted with that authority, if it is for servers.
. "$(dirname "$0")/lib.sh"

cd "$tmp"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 \
	-subj "/O=Corp/CN=Corp Proxy CA" >openssl.log 2>&1
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout leaf.key -out leaf.csr \
	-subj "/CN=localhost" >>openssl.log 2>&1
printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n' >ext
openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out leaf.pem >>openssl.log 2>&1
cat leaf.pem ca.pem >chain.pem

start_tcp greet greet hello
for chain in leaf chain; do
	start_relay "relay-$chain" --tls-cert "$tmp/$chain.pem" --tls-key "$tmp/leaf.key"
	start_agent pi --ca "$tmp/ca.pem"
	expect "with the authority" hello "$(connect --ca "$tmp/ca.pem" pi 127.0.0.1 "$tcp_port" </dev/null)"
	exit_code connect pi 127.0.0.1 "$tcp_port"
	expect "exit status" 1 "$code"
	has_line "$tmp/err.log" 'issued by "Corp Proxy CA", which is not trusted; add --ca FILE' || fail "$(cat "$tmp/err.log")"
	pin=$(grep -o 'sha256//[A-Za-z0-9+/=]*' "$tmp/err.log" | head -n 1)
	expect "with the pin that it names" hello "$(connect --pin "$pin" pi 127.0.0.1 "$tcp_port" </dev/null)"
	stop pi
	stop "relay-$chain"
done

# One that the authority has made for clients is none for a relay, whoever trusts the authority.
printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=clientAuth\n' >ext
openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out other.pem >>openssl.log 2>&1
start other openssl s_server -www -accept 127.0.0.1:0 -cert "$tmp/other.pem" -key "$tmp/leaf.key"
wait_for "the port of s_server" has_line "$tmp/other.log" '^ACCEPT'
relay_url=wss://localhost:$(sed -n 's/^ACCEPT .*://p' "$tmp/other.log" | head -n 1)
exit_code connect --ca "$tmp/ca.pem" pi 127.0.0.1 "$tcp_port"
expect "exit status for another use" 1 "$code"
has_line "$tmp/err.log" 'localhost issued by "Corp Proxy CA" is not meant for a server' || fail "$(cat "$tmp/err.log")"
