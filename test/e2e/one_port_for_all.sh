#!/bin/sh
# SPDX-License-Identifier: ISC
# One port does all: agents and clients where Host is the relay's own, visitors of agents' services by every other host, and services
# with a certificate of their own by name; once with TLS and once without.
# tsan: yes
. "$(dirname "$0")/lib.sh"

cd "$tmp"
cat >creds.json <<-'JSON'
	{"edge-agents": {"pi": {"secret": "agent-secret-of-this-test", "hosts": ["*"]}},
	 "access-client-secrets": ["client-secret-of-this-test"]}
JSON
printf 'agent-secret-of-this-test' >agent.secret
printf 'client-secret-of-this-test' >client.secret
chmod 600 ./*.secret
make_cert relay localhost t.test '*.t.test'
make_cert shop shop.acme.test
start web python3 "$here/web_service.py" "$tmp/web.port" pi
started_file web "$tmp/web.port"
web=$(cat web.port)
start_tcp hash hash
# TLS of its own.
start shop openssl s_server -quiet -www -accept 127.0.0.1:0 -naccept 100 -cert shop.pem -key shop.key
s_server_port() { ss -Hltnp 2>/dev/null | sed -n "s/.*127.0.0.1:\([0-9]*\) .*pid=$(pid_of shop),.*/\1/p" | head -n 1; }
has_port() { [ -n "$(s_server_port)" ]; }
wait_for "s_server" has_port
shop=$(s_server_port)
make_data data 3000000

# check SCHEME - everything through $relay_port.
check() {
	scheme=$1
	at() { curl -sS --cacert relay.pem --connect-to "::127.0.0.1:$relay_port" "$@"; }
	# Visitors.
	expect "a service ($scheme)" pi "$(at "$scheme://pi.t.test:$relay_port/name")"
	expect "a body ($scheme)" "$(sum_of data) 3000000" "$(at --data-binary @data "$scheme://pi.t.test:$relay_port/hash")"
	expect "two requests on one connection ($scheme)" "pi1 pi0 " \
		"$(at -w '%{num_connects} ' "$scheme://pi.t.test:$relay_port/name" "$scheme://pi.t.test:$relay_port/name" | tr -d '\n')"
	# The tunnel's own, by its host, by its address, and without one.
	for host in t.test localhost 127.0.0.1; do
		[ "$scheme $host" != "http localhost" ] || continue
		expect "/health of $host ($scheme)" "ok" "$(at "$scheme://$host:$relay_port/health" 2>/dev/null || at -k "$scheme://$host:$relay_port/health")"
	done
	expect "a path of nobody ($scheme)" 404 "$(at -o body -w '%{http_code}' "$scheme://t.test:$relay_port/none")"
	expect "an unknown host ($scheme)" 404 "$(at -o body -w '%{http_code}' "$scheme://unknown.t.test:$relay_port/health")"
	# A client through the agent, on the same port.
	expect "a stream ($scheme)" "$(sum_of data)" "$(connect pi hash <data | cut -d' ' -f1)"
	# What is no request is answered all the same.
	expect "a malformed request ($scheme)" 400 "$(at -o body -w '%{http_code}' -H 'Host: a b' "$scheme://pi.t.test:$relay_port/")"
}

# ---- without TLS ----
port=$(free_port)
start_relay plain --http "127.0.0.1:$port" --listen "127.0.0.1:$port" --domain t.test --relay-host t.test
expect "the ports" "$relay_port" "$(json plain.ready 'd["http"][0]["port"]')"
start_agent pi --http "$web" --tcp "hash=127.0.0.1:$tcp_port"
expect "the address that the agent tells" "http://pi.t.test:$relay_port" "$(json pi.ready '[s["url"] for s in d["services"] if s["kind"] == "http"][0]')"
check http
stop pi
stop plain

# ---- with TLS, and a service with a certificate of its own ----
port=$(free_port)
start_relay relay --https "127.0.0.1:$port" --listen "127.0.0.1:$port" --domain t.test --relay-host t.test --relay-host localhost \
	--tls-cert relay.pem --tls-key relay.key
expect "the ports with TLS" "$relay_port" "$(json relay.ready 'd["https"][0]["port"]')"
start_agent pi --ca relay.pem --http "$web" --tls "shop.acme.test=127.0.0.1:$shop" --tcp "hash=127.0.0.1:$tcp_port"
connect() { "$TUNNEL_BIN" connect --relay "$relay_url" --ca relay.pem --secret-file client.secret "$@"; }
check https
curl -sS --cacert shop.pem --connect-to "::127.0.0.1:$relay_port" -o body "https://shop.acme.test:$relay_port/"
has_line body 's_server' || fail "the service's own TLS: $(cat body)"
expect "a host that the certificate does not cover" 421 "$(curl -sS --cacert relay.pem --connect-to "::127.0.0.1:$relay_port" \
	-o body -w '%{http_code}' -H 'Host: shop.acme.test' "https://pi.t.test:$relay_port/")"
