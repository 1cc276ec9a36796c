#!/bin/sh
# SPDX-License-Identifier: ISC
# Agent and client go through an HTTP proxy by CONNECT, with basic authentication; a 407 names the schemes; NO_PROXY is heeded.
. "$(dirname "$0")/lib.sh"

cat >"$tmp/proxy.py" <<'PYTHON'
import base64, os, socket, sys, threading
want = "Basic " + base64.b64encode(b"user:pa ss").decode()
def pipe(a, b):
    try:
        while True:
            d = a.recv(65536)
            if not d:
                break
            b.sendall(d)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve(s):
    f = s.makefile("rb", 0)
    line = f.readline().decode().split()
    heads = {}
    while True:
        h = f.readline().decode().strip()
        if not h:
            break
        k, v = h.split(":", 1)
        heads[k.lower()] = v.strip()
    print(" ".join(line), flush=True)
    if heads.get("proxy-authorization") != want:
        s.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\n"
                  b"Proxy-Authenticate: NTLM, Basic realm=\"corp, inc\"\r\nContent-Length: 0\r\n\r\n")
        s.close()
        return
    t = socket.create_connection(("127.0.0.1", int(line[1].rsplit(":", 1)[1])))  # it alone knows where relay.test is
    s.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")  # RFC 9110 15.2
    s.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    threading.Thread(target=pipe, args=(s, t), daemon=True).start()
    pipe(t, s)
l = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1] + ".new", "w").write(str(l.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
PYTHON
start proxy python3 "$tmp/proxy.py" "$tmp/proxy.port"
started_file proxy "$tmp/proxy.port"
proxy=127.0.0.1:$(cat "$tmp/proxy.port")

start_tcp greet greet hello
make_cert relay relay.test localhost
start_relay relay --tls-cert "$tmp/relay.pem" --tls-key "$tmp/relay.key"
relay_url=wss://relay.test:$relay_port
start_agent pi --ca "$tmp/relay.pem" --proxy "http://user:pa%20ss@$proxy"
has_line "$tmp/proxy.log" "CONNECT relay.test:$relay_port HTTP/1.1" || fail "the agent did not use the proxy"
greeting() { connect --ca "$tmp/relay.pem" pi 127.0.0.1 "$tcp_port" </dev/null; }

HTTPS_PROXY=http://user:pa%20ss@$proxy
export HTTPS_PROXY
: >"$tmp/proxy.log"
expect "HTTPS_PROXY" hello "$(greeting)"
has_line "$tmp/proxy.log" "CONNECT relay.test" || fail "the client did not use the proxy"
: >"$tmp/proxy.log"
expect "NO_PROXY" hello "$(relay_url=wss://localhost:$relay_port NO_PROXY=example.com,localhost greeting)"
! has_line "$tmp/proxy.log" CONNECT || fail "NO_PROXY was not heeded"

HTTPS_PROXY=http://$proxy
exit_code greeting
expect "exit status without a password" 3 "$code"
has_line "$tmp/err.log" "authentication.*Negotiate, NTLM, Basic)" || fail "the schemes are not named: $(cat "$tmp/err.log")"
HTTPS_PROXY=http://user:wr0ng@$proxy
exit_code greeting
expect "exit status with a wrong password" 3 "$code"
! has_line "$tmp/err.log" wr0ng || fail "the password is repeated"
HTTPS_PROXY=http://127.0.0.1:9
exit_code greeting
expect "exit status with a dead proxy" 1 "$code"
has_line "$tmp/err.log" "proxy.*127.0.0.1:9\|127.0.0.1:9.*proxy" || fail "the proxy is not named: $(cat "$tmp/err.log")"
