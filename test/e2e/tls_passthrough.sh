#!/bin/sh
# SPDX-License-Identifier: ISC
# A service with a certificate of its own is reached by the name in the ClientHello, and the relay never sees plain text: curl and
# openssl check nginx's certificate behind the agent, whatever the hello looks like. What is not such a name is served by the relay.
# tsan: yes
# limit: 200
. "$(dirname "$0")/lib.sh"

cd "$tmp"
secrets
cat >creds.json <<-'JSON'
	{"edge-agents": {"pi": {"secret": "agent-secret-of-this-test", "hosts": ["*"]},
	                 "lab": {"secret": "agent-secret-of-this-test", "hosts": ["*"]}}}
JSON
make_cert relay localhost t.test '*.t.test'
make_cert shop shop.acme.test '*.shop.acme.test'

# nginx with TLS of its own, which tells what its client asked for, and who it is.
shop_port=$(free_port)
mkdir nginx www
make_data www/big 30000000
cat >nginx.conf <<-CONF
	daemon off;
	pid $tmp/nginx/pid;
	error_log stderr notice;
	worker_processes 1;
	$([ "$(id -u)" != 0 ] || echo "user root;")
	events { worker_connections 64; }
	http {
		access_log off;
		client_body_temp_path $tmp/nginx/body; proxy_temp_path $tmp/nginx/proxy;
		fastcgi_temp_path $tmp/nginx/fastcgi; uwsgi_temp_path $tmp/nginx/uwsgi; scgi_temp_path $tmp/nginx/scgi;
		server {
			listen 127.0.0.1:$shop_port ssl http2 proxy_protocol;
			ssl_certificate $tmp/shop.pem;
			ssl_certificate_key $tmp/shop.key;
			root $tmp/www;
			location = /who { return 200 "\$ssl_server_name \$server_protocol \$proxy_protocol_addr\\n"; }
		}
	}
CONF
start nginx "$(command -v nginx)" -p "$tmp/nginx" -e stderr -c "$tmp/nginx.conf"
wait_for "nginx" port_is_open "$shop_port"
start web python3 -m http.server --bind 127.0.0.1 --directory "$tmp/www" 0
wait_for "http.server" has_line web.log 'port [0-9]'
web_port=$(sed -n 's/.* port \([0-9]*\).*/\1/p' web.log | head -n 1)

start_relay relay --listen plain:127.0.0.1:0 --https 127.0.0.1:0 --domain t.test --proxy-from 127.0.0.2 --handshake-timeout 3s \
	--tls-cert relay.pem --tls-key relay.key --ports 20000-20010 --grace 60s --drain 1s
https=$(json relay.ready 'd["https"][0]["port"]')
cat >pi.json <<-JSON
	{"tls": ["shop.acme.test=127.0.0.1:$shop_port;proxy=v2;deny=127.0.0.5;max-connections=3", "*.shop.acme.test=127.0.0.1:$shop_port;proxy=v2"],
	 "http": ["pi=$web_port"]}
JSON
begin_agent() { start_agent pi --config pi.json; }
begin_agent
to_shop() { curl -sS --cacert shop.pem --resolve "shop.acme.test:$https:127.0.0.1" --resolve "eu.shop.acme.test:$https:127.0.0.1" "$@"; }

# ---- curl: the service's certificate, HTTP/2, 30 MB; beside it a service that the relay serves ----
expect "HTTP/2 from nginx" "shop.acme.test HTTP/2.0 127.0.0.1" "$(to_shop "https://shop.acme.test:$https/who")"
expect "HTTP/1.1 from nginx" "eu.shop.acme.test HTTP/1.1 127.0.0.1" "$(to_shop --http1.1 "https://eu.shop.acme.test:$https/who")"
to_shop -o down "https://shop.acme.test:$https/big"
same_files www/big down
curl -sS --cacert relay.pem --resolve "pi.t.test:$https:127.0.0.1" -o down "https://pi.t.test:$https/big"
same_files www/big down
has_line relay.log "shop.*closed by .*: ended" || fail "no line about the visitor's connection"

# ---- a hello in any form ----
# Over several records and segments: a small one cut up, and one of many ALPN names that openssl itself makes large.
cat >hello.py <<'PYTHON'
import socket, ssl, sys
port, name, cut, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
ctx = ssl.create_default_context(cafile=ca)
inc, out = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = ctx.wrap_bio(inc, out, server_hostname=name)
s = socket.create_connection(("127.0.0.1", port))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

def shake():
    while True:
        try:
            return tls.do_handshake()
        except ssl.SSLWantReadError:
            send(out.read())
            inc.write(s.recv(65536))

first = True
def send(data):
    global first
    if first and cut == "records":
        body, data = data[5:], b""
        for i in range(0, len(body), 7):
            piece = body[i:i + 7]
            data += b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece
    if first and cut == "bytes":
        for i in range(len(data)):
            s.sendall(data[i:i + 1])
    else:
        s.sendall(data)
    first = False

shake()
tls.write(b"GET /who HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % name.encode())
send(out.read())
got, over = b"", False
while not over:
    try:
        data = tls.read(65536)
        got, over = got + data, not data
    except ssl.SSLWantReadError:
        data = s.recv(65536)
        inc.write(data)
        over = not data
    except ssl.SSLZeroReturnError:
        over = True
print(got.split(b"\r\n\r\n")[1].decode().strip())
PYTHON
for cut in whole bytes records; do
	expect "a hello in $cut" "shop.acme.test HTTP/1.1 127.0.0.1" "$(python3 hello.py "$https" shop.acme.test "$cut" shop.pem)"
done
many=$(python3 -c 'print(",".join("p%04d" % i for i in range(1500)) + ",http/1.1")')
printf 'GET /who HTTP/1.1\r\nHost: shop.acme.test\r\nConnection: close\r\n\r\n' >request
openssl s_client -quiet -connect "127.0.0.1:$https" -servername shop.acme.test -CAfile shop.pem -verify_return_error \
	-alpn "$many" <request >large.out 2>large.err || true
has_line large.out '^shop.acme.test HTTP/1.1 127.0.0.1' || fail "a hello of 9 KB: $(cat large.out large.err)"

# ---- the relay's own certificate for everybody else ----
for name in unknown.test localhost; do
	openssl s_client -connect "127.0.0.1:$https" -servername "$name" -CAfile relay.pem </dev/null >other.out 2>&1 || true
	has_line other.out 'CN = localhost' || fail "$name: not the relay's certificate: $(cat other.out)"
done
openssl s_client -connect "127.0.0.1:$https" -noservername -CAfile relay.pem </dev/null >other.out 2>&1 || true
has_line other.out 'CN = localhost' || fail "no name: not the relay's certificate"
# A service that has its own is none of the relay's, whatever Host says.
expect "Host of a service with its own certificate" 421 "$(curl -s -o /dev/null -w '%{http_code}' --cacert relay.pem \
	--resolve "pi.t.test:$https:127.0.0.1" -H 'Host: shop.acme.test' "https://pi.t.test:$https/who")"

# ---- the service's rules ----
exit_code to_shop --interface 127.0.0.5 -o down "https://shop.acme.test:$https/who"
[ "$code" = 35 ] || [ "$code" = 56 ] || fail "who is denied: curl ended with $code: $(cat err.log)"
has_line relay.log 'turned away: .*network' || fail "no line about the one who is denied"
cat >idle.py <<'PYTHON'
import socket, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
held = []
try:
    while len(held) < 10:
        raw = socket.create_connection(("127.0.0.1", port))
        held.append(ssl.create_default_context(cafile=ca).wrap_socket(raw, server_hostname="shop.acme.test"))
except OSError:
    pass
print(len(held))
PYTHON
expect "connections of a service that may have 3" 3 "$(python3 idle.py "$https" shop.pem)"

# ---- a PROXY header comes before the hello ----
cat >proxied.py <<'PYTHON'
import socket, ssl, sys
port, header, ca = int(sys.argv[1]), sys.argv[2].encode().decode("unicode_escape").encode(), sys.argv[3]
raw = socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0))
raw.sendall(header)
s = ssl.create_default_context(cafile=ca).wrap_socket(raw, server_hostname="shop.acme.test")
s.sendall(b"GET /who HTTP/1.1\r\nHost: shop.acme.test\r\nConnection: close\r\n\r\n")
got = b""
while data := s.recv(65536):
    got += data
print(got.split(b"\r\n\r\n")[1].decode().strip())
PYTHON
expect "who a proxy says it is" "shop.acme.test HTTP/1.1 192.0.2.7" \
	"$(python3 proxied.py "$https" 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n' shop.pem)"
exit_code python3 proxied.py "$https" '' shop.pem
expect "no PROXY header from a proxy" 1 "$code"
has_line relay.log '127.0.0.2.*turned away: ' || fail "no line about the missing PROXY header"

# ---- who never finishes a hello ----
cat >slow.py <<'PYTHON'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
s.settimeout(20)
try:
    print("end" if s.recv(1) == b"" else "bytes")
except ConnectionResetError:
    print("reset")
PYTHON
expect "a hello that does not go on" reset "$(python3 slow.py "$https")"
has_line relay.log 'turned away: no ClientHello within the time allowed' || fail "no line about the slow hello"

# ---- the agent goes away and comes back: a new visitor waits for it ----
stop pi KILL
wait_for "the agent to be missed" has_line relay.log 'agent pi.*closed'
start waiting curl -sS --cacert shop.pem --resolve "shop.acme.test:$https:127.0.0.1" -o waited "https://shop.acme.test:$https/who"
begin_agent
wait_for "the one who waited" exists waited
is_over() { is_dead waiting; }
wait_for "the end of the one who waited" is_over
expect "who waited for the agent" "shop.acme.test HTTP/2.0 127.0.0.1" "$(cat waited)"

# ---- the service withdrawn: its name is nobody's ----
echo "{\"http\": [\"pi=$web_port\"]}" >pi.json
kill -HUP "$(pid_of pi)"
is_the_relays() {
	openssl s_client -connect "127.0.0.1:$https" -servername shop.acme.test -CAfile relay.pem </dev/null >other.out 2>&1 || true
	has_line other.out 'CN = localhost'
}
wait_for "the relay's certificate for a service that was withdrawn" is_the_relays
