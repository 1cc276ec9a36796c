#!/bin/sh
# SPDX-License-Identifier: ISC
# certbot and lego get certificates beside the relay: an authority (pebble) looks for their files at its web listener, by --acme-dir,
# with --https-only, for a host that an agent serves; and an agent whose service answers challenges itself gets one, too.
# limit: 180
. "$(dirname "$0")/lib.sh"

for p in pebble pebble-challtestsrv certbot lego; do
	[ -n "$(command -v "$p")" ] || fail "$p is missing: run 'make deps'"
done
cd "$tmp"
make_cert relay localhost '*.t.test'
make_cert authority localhost
mkdir -p acme own

start_relay relay --listen plain:127.0.0.1:0 --http 127.0.0.1:0 --https 127.0.0.1:0 --https-only --acme-dir acme --domain t.test --tls-cert relay.pem --tls-key relay.key
http=$(json relay.ready 'd["http"][0]["port"]')
start web python3 -u -m http.server --bind 127.0.0.1 --directory own 0
wait_for "the service" has_line web.log 'Serving HTTP'
start_agent pi --http "$(sed -n 's/.* port \([0-9]*\).*/\1/p' web.log)"

# ---- the authority: every name is this machine ----
dns=$(free_ports 5)
dns=${dns%-*} directory=$((dns + 1)) management=$((dns + 2)) unused=$((dns + 3))
start names "$(command -v pebble-challtestsrv)" -defaultIPv4 127.0.0.1 -defaultIPv6 '' -dns01 "127.0.0.1:$dns" -management "127.0.0.1:$management" \
	-http01 '' -https01 '' -tlsalpn01 ''
cat >pebble.json <<EOF
{"pebble":{"listenAddress":"127.0.0.1:$directory","managementListenAddress":"127.0.0.1:$((dns + 4))","certificate":"authority.pem","privateKey":"authority.key",
"httpPort":$http,"tlsPort":$unused,"ocspResponderURL":"","externalAccountBindingRequired":false}}
EOF
PEBBLE_VA_NOSLEEP=1 PEBBLE_AUTHZREUSE=0 PEBBLE_WFE_NONCEREJECT=0 start pebble "$(command -v pebble)" -config pebble.json -dnsserver "127.0.0.1:$dns"
wait_for "the authority" port_is_open "$directory"

# ---- lego, a webroot ----
LEGO_CA_CERTIFICATES=$tmp/authority.pem lego --server "https://localhost:$directory/dir" --accept-tos --email a@t.test --path lego --http \
	--http.webroot acme --domains pi.t.test run >lego.log 2>&1 || fail "lego: $(cat lego.log)"
openssl x509 -in lego/certificates/pi.t.test.crt -noout -text | grep -q 'DNS:pi.t.test' || fail "lego got no certificate for pi.t.test"

# ---- certbot, a webroot ----
run_certbot() {
	REQUESTS_CA_BUNDLE=$tmp/authority.pem certbot certonly --non-interactive --agree-tos --register-unsafely-without-email --server \
		"https://localhost:$directory/dir" --config-dir certbot --work-dir certbot.work --logs-dir certbot.logs "$@" >certbot.log 2>&1 ||
		fail "certbot: $(cat certbot.log)"
}
run_certbot --webroot -w acme -d pi.t.test
openssl x509 -in certbot/live/pi.t.test/cert.pem -noout -text | grep -q 'DNS:pi.t.test' || fail "certbot got no certificate for pi.t.test"
[ "$(find acme -type f | wc -l)" = 0 ] || fail "files of challenges are left: $(find acme)"

# ---- certbot of the agent's machine: what is not in --acme-dir is the agent's ----
run_certbot --webroot -w own --cert-name own -d pi.t.test --force-renewal
has_line web.log 'GET /.well-known/acme-challenge/' || fail "the agent's service was not asked: $(cat web.log)"

# ---- both programs' directories are what --tls-dir reads ----
stop relay TERM
start_relay again --listen plain:127.0.0.1:0 --https 127.0.0.1:0 --domain t.test --tls-dir lego/certificates --tls-dir certbot/live
issuer=$(openssl s_client -connect "127.0.0.1:$(json again.ready 'd["https"][0]["port"]')" -servername pi.t.test </dev/null 2>/dev/null |
	openssl x509 -noout -issuer)
case $issuer in
*Pebble*) ;;
*) fail "the relay shows \"$issuer\"" ;;
esac
