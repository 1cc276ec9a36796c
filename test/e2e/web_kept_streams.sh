#!/bin/sh
# SPDX-License-Identifier: ISC
# Connections to web services are kept for the next request of the same address, for 4 s, and end as a client's do: the service never
# sees a reset. One that closes them when it likes costs no request that may be asked again, and one that ends with its agent, too.
# tsan: yes
. "$(dirname "$0")/lib.sh"

# A service that notes its connections: "N: open", "N: METHOD TARGET", "N: end" or "N: reset".
cat >"$tmp/noting.py" <<'PYTHON'
import itertools, os, socket, sys, threading
count = itertools.count(1)
def note(n, what):
    print(f"{n}: {what}", flush=True)
def serve(s):
    n, b = next(count), b""
    note(n, "open")
    try:
        while True:
            while b"\r\n\r\n" not in b:
                got = s.recv(65536)
                if not got:
                    return note(n, "end")
                b += got
            head, b = b.split(b"\r\n\r\n", 1)
            method, target = head.decode().split(" ")[:2]
            note(n, f"{method} {target}")
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(n)), n))
            if target == "/last":  # and does not say so
                s.close()
                return
    except ConnectionError:
        note(n, "reset")
l = socket.create_server(("127.0.0.1", 0), backlog=256)
open(sys.argv[1] + ".new", "w").write(str(l.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
PYTHON
start service python3 "$tmp/noting.py" "$tmp/service.port"
started_file service "$tmp/service.port"
service_port=$(cat "$tmp/service.port")
secrets
sed 's/"pi": "\([^"]*\)"/"pi": {"secret": "\1", "hosts": ["*"]}/' "$tmp/creds.json" >"$tmp/hosts.json"
start_relay relay --credentials "$tmp/hosts.json" --http 127.0.0.1:0 --domain t.test
web_port=$(json "$tmp/relay.ready" 'd["http"][0]["port"]')
start_agent pi --http "$service_port" --http "once=$service_port;pool=0"

web() { curl -sS --max-time 60 --resolve "*:$web_port:127.0.0.1" "$@"; }
url=http://pi.t.test:$web_port
opened() { grep -c ': open$' "$tmp/service.log" || true; }
ended() { [ "$(grep -c ': end$' "$tmp/service.log")" = "$1" ]; }

# ---- who gets which ----
expect "requests on one connection" "1 1 1" "$(web -w ' ' "$url/a" "$url/b" "$url/c" | sed 's/ $//')"
expect "a connection of the visitor's of its own" 1 "$(web "$url/d")"
expect "another address" 2 "$(web --interface 127.0.0.2 "$url/e")"
expect "the first address" 1 "$(web "$url/f")"
expect "a service with ;pool=0" "3 4" "$(web -w ' ' "http://once.t.test:$web_port/a" "http://once.t.test:$web_port/b" | sed 's/ $//')"
wait_for "those that are not kept to end" ended 2

# ---- how they end ----
wait_for "the idle ones to end" ended 4
expect "after that" 5 "$(web "$url/g")"
! has_line "$tmp/service.log" ': reset$' || fail "the service saw a reset"

# ---- a service that closes when it likes ----
cat >"$tmp/many.py" <<'PYTHON'
import http.client, sys, threading
port, n = int(sys.argv[1]), int(sys.argv[2])
bad = []
def visit(k):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for i in range(n):
        c.request("GET", "/last" if i % 3 == k % 3 else "/more", headers={"Host": "pi.t.test"})
        r = c.getresponse()
        r.read()
        if r.status != 200:
            bad.append((k, i, r.status))
threads = [threading.Thread(target=visit, args=(k,)) for k in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not bad, bad
PYTHON
before=$(opened)
python3 "$tmp/many.py" "$web_port" 150 || fail "requests to a service that closes"
echo "1200 requests, of which every third is the connection's last: $(($(opened) - before)) connections"
[ $(($(opened) - before)) -lt 900 ] || fail "connections were not kept"

# ---- the agent ends, and with it what was kept ----
web "$url/h" >"$tmp/out"
stop pi
start_agent pi --http "$service_port"
expect "behind a new agent" 200 "$(web -o "$tmp/out" -w '%{http_code}' "$url/i")"
