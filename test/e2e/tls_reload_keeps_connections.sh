#!/bin/sh
# SPDX-License-Identifier: ISC
# New certificate files are taken up by themselves and on SIGHUP; open connections go on; a broken file keeps the old one.
# tsan: yes
. "$(dirname "$0")/lib.sh"

shown_pin() {
	echo | timeout 10 openssl s_client -connect "localhost:$relay_port" -servername localhost 2>/dev/null |
		openssl x509 -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64
}
shows() { [ "sha256//$(shown_pin)" = "$1" ]; }
pin_of() { grep -o 'sha256//[A-Za-z0-9+/=]*' "$tmp/$1.keygen.log"; }
install_cert() { cp "$tmp/$1.key" "$tmp/in.key" && cp "$tmp/$1.pem" "$tmp/in.pem"; }

for c in one two three; do make_cert $c localhost; done
install_cert one
start_tcp hash hash
start_relay relay --tls-cert "$tmp/in.pem" --tls-key "$tmp/in.key"
start_agent pi --pin "$(pin_of one)" --pin "$(pin_of two)" --pin "$(pin_of three)"

# A transfer that is under way through all of this.
mkfifo "$tmp/in.fifo"
start transfer sh -c "exec '$TUNNEL_BIN' connect --relay $relay_url --secret-file $tmp/client.secret \
	--pin $(pin_of one) pi 127.0.0.1 $tcp_port <$tmp/in.fifo >$tmp/out"
exec 3>"$tmp/in.fifo"
make_data "$tmp/part" 1000000
cat "$tmp/part" >&3
shows "$(pin_of one)" || fail "not the first certificate"

install_cert two
wait_for "the second certificate" shows "$(pin_of two)"

echo broken >"$tmp/in.pem"
wait_for "the complaint" has_line "$tmp/relay.log" "in.pem.*this certificate stays as it was"
shows "$(pin_of two)" || fail "the broken file was taken up"

install_cert three
kill -HUP "$(pid_of relay)"
wait_for "the third certificate" shows "$(pin_of three)"

cat "$tmp/part" >&3
exec 3>&-
wait_for "the transfer" is_dead transfer
cat "$tmp/part" "$tmp/part" >"$tmp/all"
expect "the transfer through three certificates" "$(sum_of "$tmp/all") 2000000" "$(cat "$tmp/out")"
! has_line "$tmp/pi.log" "connection.*lost" || fail "the agent was disconnected"
