#!/bin/sh
# SPDX-License-Identifier: ISC
# Of an RSA and an ECDSA certificate the relay shows the one that the client can check; one that is not for servers it refuses.
. "$(dirname "$0")/lib.sh"

# certify NAME SAN OPTION... - $tmp/NAME.pem and $tmp/NAME.key, whose subject is NAME.
certify() {
	name=$1 san=$2
	shift 2
	(umask 077 && openssl req -x509 -nodes -days 30 -subj "/CN=$name" -addext "subjectAltName=$san" \
		-keyout "$tmp/$name.key" -out "$tmp/$name.pem" "$@" 2>"$tmp/$name.req.log") || fail "openssl req"
}
ecdsa='-newkey ec -pkeyopt ec_paramgen_curve:P-256'
# shellcheck disable=SC2086 # options
{
	certify ecdsa DNS:both.test $ecdsa
	certify rsa DNS:both.test -newkey rsa:2048
	certify exact DNS:x.wild.test $ecdsa
	certify wild 'DNS:*.wild.test' -newkey rsa:2048
	certify address4 IP:127.0.0.1 $ecdsa
	certify address4_rsa IP:127.0.0.1,DNS:other.test -newkey rsa:2048
	certify clients DNS:both.test $ecdsa -addext extendedKeyUsage=clientAuth
	certify encipher DNS:both.test -newkey rsa:2048 -addext keyUsage=keyEncipherment
}

# relay_with NAME... - with these certificates, in this order.
relay_with() {
	[ -z "${relay_pid:-}" ] || stop relay
	pairs=
	for name in "$@"; do
		pairs="$pairs --tls-cert $tmp/$name.pem --tls-key $tmp/$name.key"
	done
	# shellcheck disable=SC2086 # options
	start_relay relay $pairs
	relay_pid=yes
}

# shown OPTION... - the subject of the certificate that a client with these options is shown; "none" without one.
shown() {
	timeout 20 openssl s_client -connect "127.0.0.1:$relay_port" "$@" </dev/null 2>&1 | sed -n 's/^subject=CN *= *//p' |
		grep . || echo none
}

for order in 'ecdsa rsa' 'rsa ecdsa'; do
	# shellcheck disable=SC2086 # names
	relay_with $order
	for name in '-servername both.test' -noservername '-servername unknown.test'; do
		# shellcheck disable=SC2086 # options
		{
			expect "$order, $name, 1.3, ECDSA" ecdsa "$(shown $name -tls1_3 -sigalgs ECDSA+SHA256)"
			expect "$order, $name, 1.3, RSA" rsa "$(shown $name -tls1_3 -sigalgs RSA-PSS+SHA256)"
			expect "$order, $name, 1.3, neither" none "$(shown $name -tls1_3 -sigalgs ed25519)"
			expect "$order, $name, 1.2, ECDSA" ecdsa "$(shown $name -tls1_2 -sigalgs ECDSA+SHA256)"
			expect "$order, $name, 1.2, RSA" rsa "$(shown $name -tls1_2 -sigalgs RSA+SHA256)"
			expect "$order, $name, 1.2, cipher ECDSA" ecdsa \
				"$(shown $name -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256)"
			expect "$order, $name, 1.2, cipher RSA" rsa \
				"$(shown $name -tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256)"
		}
	done
done

relay_with ecdsa wild exact
expect "an exact name" exact "$(shown -servername x.wild.test)"
expect "an exact name that cannot be checked" wild "$(shown -servername x.wild.test -sigalgs RSA-PSS+SHA256)"
expect "another name" wild "$(shown -servername y.wild.test)"
expect "the first certificate's names only" none "$(shown -noservername -sigalgs RSA-PSS+SHA256)"

relay_with address4 address4_rsa
expect "an address, ECDSA" address4 "$(shown -noservername -sigalgs ECDSA+SHA256)"
expect "an address, RSA" address4_rsa "$(shown -noservername -sigalgs RSA-PSS+SHA256)"

for name in clients encipher; do
	exit_code "$TUNNEL_BIN" relay --listen 127.0.0.1:0 --credentials "$tmp/creds.json" \
		--tls-cert "$tmp/ecdsa.pem" --tls-key "$tmp/ecdsa.key" \
		--tls-cert "$tmp/$name.pem" --tls-key "$tmp/$name.key"
	expect "$name: exit status" 2 "$code"
	has_line "$tmp/err.log" "$tmp/$name.pem: this certificate is not meant for a server: its key usage" ||
		fail "$name: not told"
done
