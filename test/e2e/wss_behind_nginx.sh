#!/bin/sh
# SPDX-License-Identifier: ISC
# nginx ends TLS in front of a plain relay: agent and ssh go through it; a 404 and the health page too.
. "$(dirname "$0")/lib.sh"

start_sshd
start_relay relay
make_cert nginx localhost
nginx_port=$(free_port)
mkdir "$tmp/nginx"
cat >"$tmp/nginx.conf" <<CONF
daemon off;
pid $tmp/nginx/pid;
error_log stderr notice;
worker_processes 1;
$([ "$(id -u)" != 0 ] || echo "user root;")
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path $tmp/nginx/body; proxy_temp_path $tmp/nginx/proxy; fastcgi_temp_path $tmp/nginx/fastcgi;
	uwsgi_temp_path $tmp/nginx/uwsgi; scgi_temp_path $tmp/nginx/scgi;
	server {
		listen 127.0.0.1:$nginx_port ssl;
		ssl_certificate $tmp/nginx.pem;
		ssl_certificate_key $tmp/nginx.key;
		location / {
			proxy_pass http://127.0.0.1:$relay_port;
			proxy_http_version 1.1;
			proxy_set_header Upgrade \$http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_set_header Host \$host;
			proxy_read_timeout 1h;
		}
	}
}
CONF
start nginx "$(command -v nginx)" -p "$tmp/nginx" -e stderr -c "$tmp/nginx.conf"
wait_for nginx port_is_open "$nginx_port"
relay_url=wss://localhost:$nginx_port

start_agent pi --ca "$tmp/nginx.pem" --tcp "ssh=127.0.0.1:$sshd_port"
ssh_both_ways "$TUNNEL_BIN connect --relay $relay_url --secret-file $tmp/client.secret --ca $tmp/nginx.pem %h ssh" \
	1 200000 30000000
page() { curl -sS --max-time 10 -o "$tmp/page" -w '%{http_code}' --cacert "$tmp/nginx.pem" "https://localhost:$nginx_port$1"; }
expect "the health page" 200 "$(page /health)"
expect "another page" 404 "$(page /other)"
