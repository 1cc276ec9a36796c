#!/bin/sh
# SPDX-License-Identifier: ISC
# Agents and clients log in by secret and by key, at one relay, over ws, over wss and through an nginx that ends TLS; bytes arrive
# whole either way, and by several carriers.
# limit: 180
# tsan: yes
. "$(dirname "$0")/lib.sh"

secrets
make_key relay lab alice
cat >"$tmp/creds.json" <<-JSON
	{"edge-agents": {"pi": "agent-secret-of-this-test", "lab": {"key": "$(public_key lab)"}},
	 "access-client-secrets": ["client-secret-of-this-test"],
	 "clients": {"alice": {"key": "$(public_key alice)", "agents": ["*"], "targets": ["*:*"]}}}
JSON
start_tcp hash hash
start_relay_with_tls --key-file "$tmp/relay.key" --threads 2
has_line "$tmp/relay.log" "the relay's key: $(public_key relay)" || fail "the relay does not tell its public key"
make_cert nginx localhost
start_nginx nginx "ssl_certificate $tmp/nginx.pem; ssl_certificate_key $tmp/nginx.key;" ssl
start_nginx plain ""
make_data "$tmp/some" 5000
make_data "$tmp/much" 3000000

# both_ways CA-OPTIONS - each kind of agent with each kind of client.
both_ways() {
	start_agent pi "$@"
	start_agent lab --key-file "$tmp/lab.key" --relay-key "$(public_key relay)" --carriers 3 "$@"
	for agent in pi lab; do
		for file in some much; do
			sum="$(sum_of "$tmp/$file") $(wc -c <"$tmp/$file")"
			expect "$relay_url, $agent, by secret, $file" "$sum" "$(connect "$@" $agent 127.0.0.1 "$tcp_port" <"$tmp/$file")"
			expect "$relay_url, $agent, by key, $file" "$sum" \
				"$(connect_by_key alice "$@" $agent 127.0.0.1 "$tcp_port" <"$tmp/$file")"
		done
	done
	stop pi
	stop lab
	expect "exit status of the agent with a key" 0 "$code"
}

both_ways
relay_url=ws://127.0.0.1:$nginx_port
both_ways
relay_url=wss://localhost:$tls_port
both_ways --ca "$tmp/tls.pem"
relay_url=wss://localhost:$(sed -n 's/.*listen 127.0.0.1:\([0-9]*\) ssl.*/\1/p' "$tmp/nginx.conf")
both_ways --ca "$tmp/nginx.pem"

# From the environment, and from a configuration file.
relay_url=ws://127.0.0.1:$relay_port
TUNNEL_KEY=$(cat "$tmp/lab.key") TUNNEL_RELAY_KEY=$(public_key relay)
export TUNNEL_KEY TUNNEL_RELAY_KEY
start lab "$TUNNEL_BIN" agent --relay "$relay_url" --name lab --ready-file "$tmp/lab.ready"
unset TUNNEL_KEY TUNNEL_RELAY_KEY
started_file lab "$tmp/lab.ready"
! tr '\0' ' ' <"/proc/$(pid_of lab)/environ" | grep -q tunnel-priv || fail "the key stands in the environment of the agent"
printf '{"relay": "%s", "key-file": "%s", "relay-key": ["%s"]}' "$relay_url" "$tmp/alice.key" "$(public_key relay)" >"$tmp/conf.json"
expect "with a configuration file" "$(sum_of "$tmp/some") 5000" \
	"$("$TUNNEL_BIN" connect --config "$tmp/conf.json" lab 127.0.0.1 "$tcp_port" <"$tmp/some")"
! grep -l tunnel-priv "$tmp"/*.log || fail "a private key stands in a log"
