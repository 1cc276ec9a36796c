#!/bin/sh
# SPDX-License-Identifier: ISC
# The credentials publish services of an unmodified edge-agent, which cannot ask: a port and web services.  Each request has a stream of its own; an
# answer that ends with the connection, whose end nobody tells, is cut off after --request-timeout; a reload opens and closes.
# limit: 120
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

secrets
ports=$(free_ports 4)
first=${ports%-*}
web_port=$(free_port)
mkdir "$tmp/web"
make_data "$tmp/web/file" 3000000
cat >"$tmp/web.conf" <<-CONF
	daemon off;
	pid $tmp/web/pid;
	error_log stderr notice;
	worker_processes 1;
	$([ "$(id -u)" != 0 ] || echo "user root;")
	events { worker_connections 64; }
	http {
		access_log $tmp/web/access;
		client_body_temp_path $tmp/web/body; proxy_temp_path $tmp/web/proxy;
		fastcgi_temp_path $tmp/web/fastcgi; uwsgi_temp_path $tmp/web/uwsgi; scgi_temp_path $tmp/web/scgi;
		server { listen 127.0.0.1:$web_port; root $tmp/web; }
	}
CONF
start web "$(command -v nginx)" -p "$tmp/web" -e stderr -c "$tmp/web.conf"
wait_for "nginx" port_is_open "$web_port"
cat >"$tmp/old.py" <<'PYTHON'
import os, socket, sys
l = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1] + ".new", "w").write(str(l.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    s = l.accept()[0]
    s.recv(10000)
    s.sendall(b"HTTP/1.0 200 OK\r\n\r\nto the end")
    s.close()
PYTHON
start old python3 "$tmp/old.py" "$tmp/old.port"
started_file old "$tmp/old.port"

# write_creds PORT HOST
write_creds() {
	cat >"$tmp/creds.new" <<-JSON
		{"edge-agents": {"pi": {"secret": "$agent_secret", "hosts": ["*"], "publish": [
		   {"kind": "tcp", "service": "web", "port": $1, "target": "127.0.0.1:$web_port"},
		   {"kind": "http", "service": "shop", "host": "$2", "target": "localhost:$web_port"},
		   {"kind": "http", "service": "old", "host": "old", "target": "127.0.0.1:$(cat "$tmp/old.port")"}]}},
		 "access-client-secrets": ["$client_secret"]}
	JSON
	mv "$tmp/creds.new" "$tmp/creds.json"
}
write_creds "$first" shop
start_relay relay --http 127.0.0.1:0 --domain t.test --ports "$ports" --request-timeout 3s
http=127.0.0.1:$(json "$tmp/relay.ready" 'd["http"][0]["port"]')
start_agent_of theirs pi
get() { exit_code curl -sS --max-time 60 -o "$tmp/got" "$@"; }

get "http://127.0.0.1:$first/file"
expect "through the port" 0 "$code"
same_files "$tmp/web/file" "$tmp/got"

# Five requests on one connection of the visitor's.
get -H 'Host: shop.t.test' "http://$http/file" -o "$tmp/got2" "http://$http/file" -o "$tmp/got3" "http://$http/file"
expect "through the host" 0 "$code"
same_files "$tmp/web/file" "$tmp/got"
same_files "$tmp/web/file" "$tmp/got3"
get -H 'Host: shop.t.test' -I "http://$http/none"
expect "a page that is not there" 0 "$code"
# The relay tells nginx that there will be no second request on that connection.
expect "streams for four requests" 4 "$(grep -c 'initiate_connection .*localhost\|hnr agent: .*: asked -> open' "$tmp/relay.log" |
	awk '{ print $1 - 1 }')"

# The end of this answer is not told.
get -H 'Host: old.t.test' "http://$http/"
[ "$code" != 0 ] || fail "an answer that nobody has ended looks whole"
expect "what came before" "to the end" "$(cat "$tmp/got")"
has_line "$tmp/relay.log" 'the answer stands still' || fail "the relay says otherwise"

# A reload closes what is gone and opens what is new.
write_creds $((first + 1)) store
kill -HUP "$(pid_of relay)"
wait_for "the new port" port_is_open $((first + 1))
get "http://127.0.0.1:$((first + 1))/file"
expect "through the new port" 0 "$code"
get "http://127.0.0.1:$first/file"
expect "through the old port" 7 "$code"
get -H 'Host: store.t.test' "http://$http/file"
expect "through the new host" 0 "$code"
same_files "$tmp/web/file" "$tmp/got"
expect "the old host" 404 "$(curl -s -o "$tmp/got" -w '%{http_code}' -H 'Host: shop.t.test' "http://$http/")"
no_violations
