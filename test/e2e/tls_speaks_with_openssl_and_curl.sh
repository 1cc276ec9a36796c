#!/bin/sh
# SPDX-License-Identifier: ISC
# The relay's TLS works with OpenSSL's and curl's clients: versions, SNI, resumption, what is refused.
. "$(dirname "$0")/lib.sh"

make_cert first localhost 127.0.0.1
make_cert second other.test '*.wild.test'
start_relay relay --tls-cert "$tmp/first.pem" --tls-key "$tmp/first.key" \
	--tls-cert "$tmp/second.pem" --tls-key "$tmp/second.key"

get() { curl -sS --max-time 10 -o /dev/null -w '%{http_code}' --cacert "$tmp/first.pem" "$@" "https://localhost:$relay_port/health"; }
expect "curl" 200 "$(get)"
expect "curl, TLS 1.2" 200 "$(get --tls-max 1.2)"
expect "curl, HTTP/2 offered" 200 "$(get --http2)"
exit_code get --tls-max 1.1
[ "$code" != 0 ] || fail "TLS 1.1 was accepted"

# s_client CONNECT OPTION... - its report of one connection.
s_client() {
	printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' |
		timeout 10 openssl s_client -connect "localhost:$relay_port" -ign_eof "$@" 2>&1 || true
}
subject() { s_client -servername "$1" | openssl x509 -noout -ext subjectAltName | grep -o 'DNS:[^,]*' | sort | tr '\n' ' '; }
expect "the first certificate" "DNS:localhost " "$(subject localhost)"
expect "the second certificate" "DNS:*.wild.test DNS:other.test " "$(subject other.test)"
expect "the wildcard" "DNS:*.wild.test DNS:other.test " "$(subject a.wild.test)"
expect "an unknown name" "DNS:localhost " "$(subject nobody.test)"

for version in tls1_3 tls1_2; do
	s_client -$version >"$tmp/$version.log"
	has_line "$tmp/$version.log" "HTTP/1.1 200" || fail "no answer over $version"
done
s_client -tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305 >"$tmp/chacha.log"
has_line "$tmp/chacha.log" "HTTP/1.1 200" || fail "no answer with ChaCha20"
for weak in AES128-SHA ECDHE-ECDSA-AES128-SHA AES128-GCM-SHA256; do
	s_client -tls1_2 -cipher "$weak" >"$tmp/weak.log"
	! has_line "$tmp/weak.log" "HTTP/1.1 200" || fail "$weak was accepted"
done
s_client -groups X25519 >"$tmp/x25519.log"
has_line "$tmp/x25519.log" "HTTP/1.1 200" || fail "no answer with X25519"

# A second connection resumes the first by its ticket.
s_client -tls1_2 -sess_out "$tmp/session" >"$tmp/first.log"
s_client -tls1_2 -sess_in "$tmp/session" >"$tmp/resumed.log"
has_line "$tmp/resumed.log" "^Reused, TLSv1.2" || fail "the session was not resumed"
s_client -tls1_3 -sess_out "$tmp/session13" >"$tmp/first13.log"
s_client -tls1_3 -sess_in "$tmp/session13" >"$tmp/resumed13.log"
has_line "$tmp/resumed13.log" "^Reused, TLSv1.3" || fail "the TLS 1.3 session was not resumed"
