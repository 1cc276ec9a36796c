#!/bin/sh
# SPDX-License-Identifier: ISC
# Visitors reach agents' web services by host name: curl as 1.1 and 1.0, bodies of every kind both ways, requests in a row and all at
# once, two hosts on one connection whose agents are on different workers, WebSockets.
# tsan: yes
# limit: 200
. "$(dirname "$0")/lib.sh"

start_service one
one_port=$service_port
start_service two
secrets
sed 's/"pi": "\([^"]*\)"/"pi": {"secret": "\1", "hosts": ["*"]}/' "$tmp/creds.json" >"$tmp/hosts.json"
start_web --credentials "$tmp/hosts.json" --threads 3
start_agent pi --http "127.0.0.1:$one_port" --http "rw=127.0.0.1:$one_port;host=inner.test;header+=X-Added: yes;header-=Accept"
start_agent lab --http "127.0.0.1:$service_port"
expect "its URL" "http://pi.t.test:$http_port" "$(json "$tmp/pi.ready" 'd["services"][0]["url"]')"

web() { curl -sS --max-time 60 --resolve "*:$http_port:127.0.0.1" "$@"; }
url=http://pi.t.test:$http_port

# ---- curl ----
expect "a name" one "$(web "$url/name")"
expect "the name in capitals, with a dot" one "$(web "http://PI.T.test.:$http_port/name")"
expect "HTTP/1.0" one "$(web -0 "$url/name")"
expect "HTTP/1.0 and an answer without length" "to the end" "$(web -0 "$url/close")"
expect "chunks" "piece 9" "$(web "$url/chunked" | tail -n 1)"
expect "chunks to HTTP/1.0" "piece 9" "$(web -0 "$url/chunked" | tail -n 1)"
expect "an answer that ends with the connection" "to the end" "$(web "$url/close")"
expect "HEAD" 77777 "$(web -I "$url/big/77777" | tr -d '\r' | sed -n 's/^Content-Length: //p')"
expect "two hosts" "one two" "$(web "$url/name" "http://lab.t.test:$http_port/name" | tr '\n' ' ' | sed 's/ $//')"
for n in $SIZES; do
	make_data "$tmp/data" "$n"
	expect "upload of $n" "$(sum_of "$tmp/data") $n" "$(web --data-binary @"$tmp/data" "$url/hash")"
	expect "upload of $n in chunks" "$(sum_of "$tmp/data") $n" "$(web -H 'Transfer-Encoding: chunked' --data-binary @"$tmp/data" "$url/hash")"
	expect "upload of $n, asked before" "$(sum_of "$tmp/data") $n" \
		"$(web -H 'Expect: 100-continue' --expect100-timeout 30 --data-binary @"$tmp/data" "$url/continue")"
	web --data-binary @"$tmp/data" "$url/echo" >"$tmp/back" || fail "echo of $n"
	same_files "$tmp/data" "$tmp/back"
	expect "download of $n" "$n" "$(web "$url/big/$n" | wc -c)"
done

# ---- what the service gets ----
web -H 'X-Forwarded-For: 203.0.113.9' -H 'X_Forwarded_For: 203.0.113.9' -H 'Forwarded: for=203.0.113.9' -H 'TE: trailers' \
	-H 'Connection: X-Own' -H 'X-Own: 1' -H 'Keep: me' -H 'X-Request-Id: my-own.id' "$url/head" >"$tmp/head"
expect "the visitor's address" "X-Forwarded-For: 127.0.0.1" "$(grep -i '^X-Forwarded-For' "$tmp/head")"
for field in "X-Forwarded-Proto: http" "Keep: me" "X-Request-Id: my-own.id" "Host: pi.t.test:$http_port"; do
	has_line "$tmp/head" "^$field\$" || fail "no \"$field\" in $(cat "$tmp/head")"
done
! grep -qiE '203\.0\.113\.9|^TE:|^X-Own|^Connection:' "$tmp/head" || fail "what must not pass: $(cat "$tmp/head")"
web "http://rw.t.test:$http_port/head" >"$tmp/head"
for field in "Host: inner.test" "X-Added: yes"; do
	has_line "$tmp/head" "^$field\$" || fail "no \"$field\" in $(cat "$tmp/head")"
done
! has_line "$tmp/head" '^Accept:' || fail "a field that was to be removed"

# ---- raw ----
cat >"$tmp/raw.py" <<'PYTHON'
import sys
import threading
import time
from web_client import Visitor, expect

port = int(sys.argv[1])
PI, LAB = "pi.t.test", "lab.t.test"


def pipelining():
    v = Visitor(port)
    v.send(*[f"GET /big/{n} HTTP/1.1\r\nHost: {PI}\r\n\r\n" for n in range(200)])
    expect("answers in order", list(range(200)), [len(v.answer()[2]) for _ in range(200)])
    v.send(f"POST /hash HTTP/1.1\r\nHost: {PI}\r\nContent-Length: 3\r\n\r\nabcGET /name HTTP/1.1\r\nHost: {LAB}\r\n\r\n")
    expect("a body, then a request", (b" 3\n", b"two\n"), (v.answer()[2][-3:], v.answer()[2]))


def hosts_on_one_connection():
    v = Visitor(port)
    for i in range(50):
        for host, name in ((PI, b"one\n"), (LAB, b"two\n")):
            expect(f"{host}, {i}", name, v.get(host, "/name")[2])
    v.send(*[f"GET /name HTTP/1.1\r\nHost: {(PI, LAB)[i % 2]}\r\n\r\n" for i in range(100)])
    expect("both, pipelined", [b"one\n", b"two\n"] * 50, [v.answer()[2] for _ in range(100)])


def bodies():
    v = Visitor(port)
    expect("204", (204, b""), v.get(PI, "/none")[::2])
    status, fields, _ = v.get(PI, "/same")
    expect("304", (304, "77"), (status, fields["content-length"]))
    expect("HEAD", (200, "5"), (v.get(PI, "/big/5", method="HEAD")[0], "5"))
    v.get(PI, "/chunked")
    expect("trailers of an answer", ["X-Sum: 10"], v.trailers)
    v.send(f"POST /hash HTTP/1.1\r\nHost: {PI}\r\nTransfer-Encoding: chunked\r\n\r\n",
           "3\r\nabc\r\n0\r\nX-Sum: 3\r\nContent-Length: 5\r\nAuthorization: x\r\n\r\n")
    expect("trailers of a request", [b"X-Sum: 3"], v.answer()[2].splitlines()[1:])
    status, fields, data = v.get(PI, "/close")
    expect("an end is no length", ("chunked", b"to the end\n"), (fields.get("transfer-encoding"), data))
    expect("and the connection goes on", b"one\n", v.get(PI, "/name")[2])


def interim():
    v = Visitor(port)
    v.send(f"GET /hints HTTP/1.1\r\nHost: {PI}\r\n\r\n")
    expect("103 passes", (103, 200), (v.head()[0], v.answer()[0]))
    v.send(f"POST /continue HTTP/1.1\r\nHost: {PI}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    expect("100 is the service's", 100, v.head()[0])
    v.send("abc")
    expect("and then the answer", 200, v.answer()[0])
    # This path never says 100: none is invented, and the body goes all the same.
    v.send(f"POST /hash HTTP/1.1\r\nHost: {PI}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
    expect("no 100", 200, v.answer()[0])
    v.send(f"POST /reject HTTP/1.1\r\nHost: {PI}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    status, fields, _ = v.answer()
    expect("refused before the body", (417, "close", "end"), (status, fields.get("connection"), v.ends()))
    v = Visitor(port)
    v.send(f"GET /hints HTTP/1.0\r\nHost: {PI}\r\n\r\n")
    expect("none to HTTP/1.0", 200, v.answer()[0])


def early_answer():
    v = Visitor(port)
    v.send(f"POST /early HTTP/1.1\r\nHost: {PI}\r\nContent-Length: 1000000\r\n\r\n")
    status, fields, _ = v.answer()
    expect("an answer before the body", (413, "close"), (status, fields.get("connection")))
    v.send(b"x" * 100000)
    expect("the rest is read past", "end", v.ends())


def versions():
    v = Visitor(port)
    v.send(f"GET /name HTTP/1.0\r\nHost: {PI}\r\nConnection: keep-alive\r\n\r\n")
    expect("1.0 kept", "keep-alive", v.answer()[1].get("connection"))
    v.send(f"GET /name HTTP/1.0\r\nHost: {PI}\r\n\r\n")
    expect("1.0 not kept", ("close", "end"), (v.answer()[1].get("connection"), v.ends()))
    v = Visitor(port)
    v.send(f"GET /name HTTP/1.1\r\nHost: {PI}\r\nConnection: close\r\n\r\n")
    expect("1.1 not kept", ("close", "end"), (v.answer()[1].get("connection"), v.ends()))


def events():
    """Each event comes before the next one is made: nothing is collected."""
    v, other = Visitor(port), Visitor(port)
    v.send(f"GET /sse HTTP/1.1\r\nHost: {PI}\r\n\r\n")
    expect("its type is no matter", "text/plain", v.head()[1]["content-type"])
    for i in range(3):
        expect("one event", b"data: %d\n\n\r\n" % i, v.take(int(v.line(), 16) + 2))
        other.get(PI, "/next")
    expect("the end", "0", v.line())


def upgrades():
    v = Visitor(port)
    v.send(f"GET /switch HTTP/1.1\r\nHost: {PI}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
    status, fields = v.head()
    expect("101", (101, "websocket"), (status, fields["upgrade"]))
    expect("what came with the request", b"first", v.take(5))
    block = bytes(range(256)) * 4000
    threading.Thread(target=v.send, args=(block,), daemon=True).start()
    expect("then bytes", block, v.take(len(block)))
    v.s.shutdown(1)
    expect("and the end", "end", v.ends())
    for upgrade in ("h2c", "other"):
        v = Visitor(port)
        v.send(f"GET /head HTTP/1.1\r\nHost: {PI}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n")
        expect(f"no {upgrade}", False, b"upgrade" in v.answer()[2].lower())
    v = Visitor(port)
    expect("not to another", 502, v.get(PI, "/wrongswitch", "Connection: Upgrade\r\nUpgrade: websocket\r\n")[0])


for case in (pipelining, hosts_on_one_connection, bodies, interim, early_answer, versions, events, upgrades):
    case()
PYTHON
python3 "$tmp/raw.py" "$http_port" || fail "raw requests"

# ---- the log ----
has_line "$tmp/relay.log" "request my-own.id: 127.0.0.1:[0-9]* -> pi:http: GET http://pi.t.test/head: 200, 0 bytes up, " ||
	fail "no line about a request: $(grep my-own.id "$tmp/relay.log")"
