#!/bin/sh
# SPDX-License-Identifier: ISC
# What goes wrong with a visitor's request has a status of its own, for the visitor and in the log: as text, as JSON, as the operator's
# page, and without a body for HEAD.
# tsan: yes
# limit: 120
. "$(dirname "$0")/lib.sh"

start_service one
mkdir "$tmp/pages"
printf '<h1>not here</h1>\n' >"$tmp/pages/404.html"
secrets
sed 's/"pi": "\([^"]*\)"/"pi": {"secret": "\1", "hosts": ["*"]}/' "$tmp/creds.json" >"$tmp/hosts.json"
start_web --credentials "$tmp/hosts.json" --error-pages "$tmp/pages"
dead_port=$(free_port)
printf 'user:sha256:%s\n' "$(printf 'right' | sha256sum | cut -d' ' -f1)" >"$tmp/auth"
start_agent pi --http "127.0.0.1:$service_port;timeout=1s" --http "dead=127.0.0.1:$dead_port" \
	--http "far=127.0.0.1:$service_port;allow=192.0.2.0/24" --http "often=127.0.0.1:$service_port;max-rate=1" \
	--http "auth=127.0.0.1:$service_port;auth=$tmp/auth"

web() { curl -sS --max-time 60 --resolve "*:$http_port:127.0.0.1" "$@"; }
# is STATUS WORDS HOST PATH [OPTION...] - the answer, and the line in the log that has the same id.
is() {
	want="$1 $2" url=http://$3:$http_port$4 host=$3
	shift 4
	got=$(web -D "$tmp/fields" -o "$tmp/body" -w '%{http_code}' "$@" "$url")
	expect "$url" "$want" "$got $(grep -o "${want#* }" "$tmp/body" | head -n 1)"
	id=$(tr -d '\r' <"$tmp/fields" | sed -n 's/^X-Request-Id: //p')
	has_line "$tmp/relay.log" "request $id: .*$host/.*: ${want%% *}, " || fail "$url: no line in the log about $id"
}
field() { tr -d '\r' <"$tmp/fields" | grep -qix "$1" || fail "$host: no field $1: $(cat "$tmp/fields")"; }

is 404 "not here" nobody.t.test /
has_line "$tmp/relay.log" "request $id: .*: no such host$" || fail "the log does not say why"
field 'content-type: text/html; charset=utf-8'
is 404 "not here" 127.0.0.1 /
is 404 '"status":404' nobody.t.test / -H 'Accept: application/json'
field 'content-type: application/json'
is 503 "the agent of this host is not connected" lab.t.test /
field 'retry-after: 5'
is 502 "the service cannot be reached" dead.t.test /
is 502 "no valid HTTP" pi.t.test /nothttp
is 502 "the head of the service's answer is too large" pi.t.test /large
is 504 "the service does not answer in time" pi.t.test /silent
is 403 "this address may not use the service" far.t.test /
often="http://often.t.test:$http_port/name"
are_too_many() { web -i "$often" "$often" "$often" | tr -d '\r' >"$tmp/often"; has_line "$tmp/often" "^HTTP/1.1 429"; }
wait_for "429" are_too_many
has_line "$tmp/often" "^429 Too Many Requests: too many requests" || fail "no words with 429"
has_line "$tmp/often" "^Retry-After: 5" || fail "no Retry-After with 429"
has_line "$tmp/relay.log" "often.t.test/name: 429, " || fail "no line in the log about 429"
is 401 "a name and a password" auth.t.test /head
field 'www-authenticate: Basic realm="tunnel", charset="UTF-8"'
is 401 "a name and a password" auth.t.test /head -u user:wrong
is 401 "a name and a password" auth.t.test /head -u other:right
expect "with the right password" "" "$(web -u user:right "http://auth.t.test:$http_port/head" | grep -i '^authorization')"

# The page is read again.
printf '<h1>moved away</h1>\n' >"$tmp/pages/404.html.new"
mv "$tmp/pages/404.html.new" "$tmp/pages/404.html"
kill -HUP "$(pid_of relay)"
is_moved() { web "http://nobody.t.test:$http_port/" | grep -q "moved away"; }
wait_for "the new page" is_moved

# ---- what curl would not send ----
cat >"$tmp/raw.py" <<'PYTHON'
import sys
from web_client import Visitor, expect

port = int(sys.argv[1])
HOST = "Host: pi.t.test\r\n"
v = Visitor(port)
for _ in range(2):
    expect("HEAD has no body, and the connection goes on", (404, b""), v.get("nobody.t.test", "/", method="HEAD")[::2])
for what, status, text in (
        ("two hosts", 400, f"GET / HTTP/1.1\r\n{HOST}{HOST}\r\n"),
        ("no host", 400, "GET / HTTP/1.1\r\n\r\n"),
        ("an invalid host", 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        ("another host in the target", 400, f"GET http://lab.t.test/ HTTP/1.1\r\n{HOST}\r\n"),
        ("space before the colon", 400, "GET / HTTP/1.1\r\nHost : pi.t.test\r\n\r\n"),
        ("two lengths", 400, f"POST / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        ("length and chunks", 400, f"POST / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("Connection: Host", 400, f"GET / HTTP/1.1\r\n{HOST}Connection: Host\r\n\r\n"),
        ("no such method", 501, f"BREW / HTTP/1.1\r\n{HOST}\r\n"),
        ("no such version", 505, f"GET / HTTP/2.0\r\n{HOST}\r\n"),
        ("a large head", 431, f"GET / HTTP/1.1\r\n{HOST}X: {'y' * 20000}\r\n\r\n"),
        ("a bad chunk", 400, f"POST /hash HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n")):
    v = Visitor(port)
    # What stands behind it must never be taken for a request.
    v.send(text, f"GET /smuggled HTTP/1.1\r\n{HOST}\r\n")
    got, fields, _ = v.answer()
    expect(what, (status, "close"), (got, fields.get("connection")))
    expect(f"{what}: then", "end", v.ends())
PYTHON
python3 "$tmp/raw.py" "$http_port" || fail "malformed requests"
! has_line "$tmp/one.port.log" smuggled || fail "a request came out of another"
