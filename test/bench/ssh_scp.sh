#!/bin/sh
# SPDX-License-Identifier: ISC
# ssh_scp - MIB (1024) MiB by ssh and by scp, each way, directly and through ws, wss, and wss that nginx ends: seconds,
# MB/s, the ratio to the direct connection, and whether the SHA-256 of both sides is the same.
# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

mib=${MIB:-1024}

start_sshd
make_data "$tmp/data" $((mib * 1048576))
want=$(sum_of "$tmp/data")
via() { ssh -F "$tmp/config" bench "$@"; }

up_ssh() { got=$(via sha256sum <"$tmp/data" | cut -d' ' -f1); }
down_ssh() { got=$(via cat "$tmp/data" | sha256sum | cut -d' ' -f1); }
up_scp() {
	scp -q -F "$tmp/config" "$tmp/data" "bench:$tmp/copy"
	got=$(sum_of "$tmp/copy")
}
down_scp() {
	scp -q -F "$tmp/config" "bench:$tmp/data" "$tmp/copy"
	got=$(sum_of "$tmp/copy")
}

# run LABEL - every way with the ProxyCommand that stands in $tmp/config; the first label is the measure for the rest.
run() {
	for way in up_ssh down_ssh up_scp down_scp; do
		begin=$(date +%s%N)
		$way
		took=$((($(date +%s%N) - begin) / 1000000))
		[ "$got" = "$want" ] || fail "$1 $way: $got is not $want"
		[ "$1" != direct ] || echo "$way $took" >>"$tmp/direct"
		echo "$1 $way $took $mib $(awk -v w=$way '$1 == w { print $2 }' "$tmp/direct") $got" | awk '{
			printf "%-7s %-9s %6.1f s %7.1f MB/s  ratio to direct %.2f  sha256 same: %s\n",
				$1, $2, $3 / 1000, $4 * 1048.576 / $3, $5 / $3, $6 }'
	done
}

# through LABEL [OPTION OF CONNECT...] - the same with ssh's ProxyCommand at $relay_url.
through() {
	label=$1
	shift
	start_agent pi --log-level warn --tcp "ssh=127.0.0.1:$sshd_port" "$@"
	{
		cat "$tmp/ssh_config"
		echo "ProxyCommand $TUNNEL_BIN connect --relay $relay_url --secret-file $tmp/client.secret $* pi ssh"
	} >"$tmp/config"
	run "$label"
	stop pi
}

{
	cat "$tmp/ssh_config"
	echo "HostName 127.0.0.1"
	echo "Port $sshd_port"
} >"$tmp/config"
run direct

start_relay relay --log-level warn
through ws
plain_port=$relay_port
make_cert relay localhost
start_relay tls --log-level warn --tls-cert "$tmp/relay.pem" --tls-key "$tmp/relay.key"
through wss --ca "$tmp/relay.pem"

nginx_port=$(free_port)
mkdir "$tmp/nginx"
cat >"$tmp/nginx.conf" <<CONF
daemon off;
pid $tmp/nginx/pid;
error_log stderr warn;
worker_processes 1;
$([ "$(id -u)" != 0 ] || echo "user root;")
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path $tmp/nginx/body; proxy_temp_path $tmp/nginx/proxy; fastcgi_temp_path $tmp/nginx/fastcgi;
	uwsgi_temp_path $tmp/nginx/uwsgi; scgi_temp_path $tmp/nginx/scgi;
	server {
		listen 127.0.0.1:$nginx_port ssl;
		ssl_certificate $tmp/relay.pem;
		ssl_certificate_key $tmp/relay.key;
		location / {
			proxy_pass http://127.0.0.1:$plain_port;
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
through nginx --ca "$tmp/relay.pem"
