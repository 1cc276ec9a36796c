#!/bin/sh
# SPDX-License-Identifier: ISC
# nginx ends TLS in front of a plain relay: agent and ssh go through it; a 404 and the health page too.
. "$(dirname "$0")/lib.sh"

start_sshd
start_relay relay
make_cert nginx localhost
start_nginx nginx "ssl_certificate $tmp/nginx.pem; ssl_certificate_key $tmp/nginx.key;" ssl
relay_url=wss://localhost:$nginx_port

start_agent pi --ca "$tmp/nginx.pem" --tcp "ssh=127.0.0.1:$sshd_port"
ssh_both_ways "$TUNNEL_BIN connect --relay $relay_url --secret-file $tmp/client.secret --ca $tmp/nginx.pem %h ssh" \
	1 200000 30000000
page() { curl -sS --max-time 10 -o "$tmp/page" -w '%{http_code}' --cacert "$tmp/nginx.pem" "https://localhost:$nginx_port$1"; }
expect "the health page" 200 "$(page /health)"
expect "another page" 404 "$(page /other)"
