#!/bin/sh
# SPDX-License-Identifier: ISC
# HTTPS by host name: each host is shown its own certificate, out of files and of a directory; a host that the certificate of a
# connection does not cover is 421 there and served elsewhere; certificates are renewed under load; ALPN.
# limit: 200
. "$(dirname "$0")/lib.sh"

cd "$tmp"
cat >creds.json <<-'JSON'
	{"edge-agents": {"pi": {"secret": "agent-secret-of-this-test", "hosts": ["*"]}}, "access-client-secrets": []}
JSON
printf 'agent-secret-of-this-test' >agent.secret
chmod 600 agent.secret
make_cert relay t.test '*.t.test'
make_cert acme www.acme.test acme.test
# As certbot has them.
mkdir -p live/shop.test
make_cert shop shop.test
cp shop.pem live/shop.test/fullchain.pem
cp shop.key live/shop.test/privkey.pem
cat relay.pem acme.pem shop.pem >all.pem
start web python3 "$here/web_service.py" "$tmp/web.port" pi
started_file web "$tmp/web.port"
web=$(cat web.port)
start_relay relay --listen plain:127.0.0.1:0 --https 127.0.0.1:0 --domain t.test --tls-cert relay.pem --tls-key relay.key \
	--tls-cert acme.pem --tls-key acme.key --tls-dir live
https=$(json relay.ready 'd["https"][0]["port"]')
start_agent pi --http "$web" --http "www.acme.test=$web" --http "acme.test=$web" --http "shop.test=$web" --http "new.test=$web" \
	--http "x.y.t.test=$web"
to() { curl -sS --cacert all.pem --connect-to "::127.0.0.1:$https" "$@"; }

# ---- who is shown what ----
# subject HOST [OPTION...] - of the certificate that openssl is shown.
subject() {
	subject_host=$1
	shift
	openssl s_client -connect "127.0.0.1:$https" -servername "$subject_host" "$@" </dev/null 2>/dev/null |
		openssl x509 -noout -subject 2>/dev/null | sed 's/.*CN = //'
}
for host in pi.t.test www.acme.test acme.test shop.test; do
	expect "$host by its certificate" pi "$(to "https://$host/name")"
done
expect "a wildcard" 't.test' "$(subject any.t.test)"
expect "a host of two names" 'www.acme.test' "$(subject ACME.test)"
expect "a host of the directory" 'shop.test' "$(subject shop.test)"
expect "a host of nobody" 't.test' "$(subject other.test)"
expect "a host of nobody with TLS 1.2" 't.test' "$(subject other.test -tls1_2)"
# A wildcard covers one label: the visitor's program refuses, and with -k the relay does.
exit_code to "https://x.y.t.test/name"
expect "a wildcard for two labels" 60 "$code"
expect "a wildcard for two labels, by force" 421 "$(to -k -o body -w '%{http_code}' "https://x.y.t.test/name")"
expect "an address" 404 "$(curl -sSk -o body -w '%{http_code}' "https://127.0.0.1:$https/name")"

# ---- 421: several hosts over one connection ----
cat >hosts.py <<'PYTHON'
import sys
from web_client import Visitor, expect
port = int(sys.argv[1])

# One certificate, two names: both are served. Another host is not, and the connection goes on.
v = Visitor(port, tls="acme.test")
for host, status in ("acme.test", 200), ("www.acme.test", 200), ("pi.t.test", 421), ("shop.test", 421), ("acme.test", 200), \
        ("WWW.ACME.TEST.", 200), ("unknown.test", 421):
    expect(f"{host} over acme.test", status, v.get(host, "/name")[0])
# A wildcard, and a host beside it.
v = Visitor(port, tls="a.t.test")
expect("pi.t.test over a.t.test", 200, v.get("pi.t.test", "/name")[0])
expect("t.test over a.t.test", 404, v.get("t.test", "/name")[0])
expect("x.y.t.test over a.t.test", 421, v.get("x.y.t.test", "/name")[0])
# Nothing of a refused request reaches a service, its body neither.
v.send("POST /hash HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 60\r\n\r\n",
       "GET /smuggled HTTP/1.1\r\nHost: pi.t.test\r\nX-Fill: 56789012\r\n\r\n"[:60])
expect("a POST for another host", 421, v.answer()[0])
PYTHON
python3 hosts.py "$https" || fail "$(cat "$tmp"/*.log | grep FAILED)"
! has_line web.port.log smuggled || fail "the body of a refused request was read as another"
# openssl keeps its connection for the second request.
printf 'GET /name HTTP/1.1\r\nHost: pi.t.test\r\n\r\nGET /name HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n' >two
openssl s_client -quiet -connect "127.0.0.1:$https" -servername pi.t.test <two >two.out 2>/dev/null || true
expect "two hosts by openssl" "200 421 " "$(sed -n 's/^.*HTTP\/1.1 \([0-9]*\).*/\1/p' two.out | tr '\n' ' ')"
# What is resumed was shown the same certificate: it covers what it covered.
cat >resumed.py <<'PYTHON'
import socket, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    c = ssl.create_default_context(cafile=ca)
    c.minimum_version = c.maximum_version = version
    session = None
    for _ in range(2):
        s = c.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="acme.test", session=session)
        got = []
        for host in "www.acme.test", "pi.t.test", "acme.test":
            s.sendall(b"GET /name HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
            answer = b""
            while b"\r\n\r\n" not in answer or not answer.endswith((b"pi", b"\n")):
                answer += s.recv(65536)
            got.append(answer.split(b" ")[1])
        assert got == [b"200", b"421", b"200"], got
        resumed, session = s.session_reused, s.session
    assert resumed, version
PYTHON
python3 resumed.py "$https" all.pem || fail "resumed sessions"

# ---- ALPN ----
alpn() { openssl s_client -connect "127.0.0.1:$https" -servername pi.t.test -alpn "$1" </dev/null 2>&1 | grep -o "ALPN protocol: .*\|no application protocol" || echo none; }
expect "http/1.1 beside h2" "ALPN protocol: http/1.1" "$(alpn h2,http/1.1)"
expect "h2 alone" "no application protocol" "$(alpn h2 | tail -n 1)"
expect "a browser's wish for h2" "1.1" "$(to --http2 -o body -w '%{http_version}' https://pi.t.test/name)"

# ---- renewed under load ----
# Until "stop" is there: new connections one after the other, and one that stays. Each is whole.
cat >load.py <<'PYTHON'
import os, sys
from web_client import Visitor, expect
port, n = int(sys.argv[1]), 0
stays = Visitor(port, tls="shop.test")
while not os.path.exists("stop"):
    v = Visitor(port, tls="shop.test")
    expect("a new connection", (200, b"pi\n"), v.get("shop.test", "/name")[::2])
    expect("one that stays", (200, b"pi\n"), stays.get("shop.test", "/name")[::2])
    v.close()
    n += 1
    open("load.n.new", "w").write(str(n))
    os.rename("load.n.new", "load.n")
PYTHON
start load python3 load.py "$https"
has_done() { ! is_dead load || fail "the load has ended: $(cat load.log)"; [ "$(cat load.n 2>/dev/null || echo 0)" -ge "$1" ]; }
serial() { openssl x509 -noout -serial -in "$1"; }
shown() { openssl s_client -connect "127.0.0.1:$https" -servername shop.test </dev/null 2>/dev/null | openssl x509 -noout -serial; }
shows() { [ "$(shown)" = "$(serial "$1")" ]; }
for round in 1 2 3; do
	wait_for "some load" has_done "$((round * 20))"
	make_cert "shop$round" shop.test
	# The key comes a moment later, as with every program that writes two files.
	cp "shop$round.pem" live/shop.test/fullchain.pem
	[ "$round" != 2 ] || wait_for "the complaint" has_line relay.log 'shop.test/privkey.pem: the key does not belong'
	cp "shop$round.key" live/shop.test/privkey.pem
	wait_for "certificate $round" shows "shop$round.pem"
done
! is_dead load || fail "the load has ended: $(cat load.log)"
touch stop
is_over() { is_dead load; }
wait_for "the end of the load" is_over
! has_line load.log . || fail "the load: $(cat load.log)"

# A host that is new to the directory needs nothing but its files.
exit_code to https://new.test/name
expect "a host without a certificate" 60 "$code"
make_cert new new.test
mkdir live/new.test
cp new.pem live/new.test/fullchain.pem
cp new.key live/new.test/privkey.pem
cat new.pem >>all.pem
is_served() { [ "$(to https://new.test/name 2>/dev/null)" = pi ]; }
wait_for "the new host" is_served
