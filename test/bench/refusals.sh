#!/bin/sh
# SPDX-License-Identifier: ISC
# refusals - how long the relay takes to refuse a key, from HELLO to GOAWAY, by an unknown name, a known name with a wrong key, one
# whose own key was revoked by a reload, one that logs in by secret, and a client's: TIMES (300) of each, in turn, in one process.
# Prints median and quartiles; alike means that the medians are far closer to each other than the quartiles of one.
#
#     make all && test/bench/refusals.sh
# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

times=${TIMES:-300}
make_key relay stranger
openssl ecparam -name prime256v1 -genkey -noout -out "$tmp/own.key" 2>/dev/null
openssl req -x509 -new -key "$tmp/own.key" -subj /CN=any -days 1 -out "$tmp/own.pem" 2>/dev/null
own=tunnel-pub-$(openssl ec -in "$tmp/own.key" -pubout -conv_form compressed -outform DER 2>/dev/null | tail -c 33 | base64 -w 0 | tr '+/' '-_')
write_creds() {
	awk -v key="$(public_key stranger)" -v own="$1" 'BEGIN {
		printf "{\"edge-agents\": {\"revoked\": {\"key\": \"%s\"}, \"by-secret\": \"s\"", own
		for (i = 0; i < 500; i++) printf ", \"a%d\": {\"key\": \"%s\"}", i, key
		print "}, \"access-client-secrets\": [\"x\"]}"
	}' >"$tmp/creds.new"
	mv "$tmp/creds.new" "$tmp/creds.json"
}
write_creds "$own"
start_relay relay --threads 1 --log-level error --key-file "$tmp/relay.key" --max-handshakes 100000
write_creds "$(public_key stranger)"
kill -HUP "$(pid_of relay)"
cat >"$tmp/refusals.py" <<'PYTHON'
import json, os, socket, ssl, statistics, struct, sys, time
port, cert, key, times = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])

def exactly(s, n):
    out = b""
    while len(out) < n:
        out += s.recv(n - len(out)) or sys.exit("the relay has ended the connection")
    return out

def message(s):
    n = exactly(s, 2)[1]
    return exactly(s, struct.unpack(">H", exactly(s, 2))[0] if n == 126 else n)

def say(s, data):
    s.sendall(struct.pack(">BBH4x", 0x82, 0x80 | 126, len(data)) + data)

def refusal(role, name):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode, c.minimum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_3
    c.set_ecdh_curve("prime256v1")
    c.set_alpn_protocols(["tunnel-login/1"])
    c.load_cert_chain(cert, key)
    i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
    t = c.wrap_bio(i, o)
    s = socket.create_connection(("127.0.0.1", port), 60)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += exactly(s, 1)
    while True:
        try:
            t.do_handshake()
            break
        except ssl.SSLWantReadError:
            say(s, o.read())
            i.write(message(s))
    say(s, o.read())
    # The relay has done its part of the handshake by then.
    time.sleep(0.005)
    hello = json.dumps({"version": 1, "role": role, "name": name, "instance": os.urandom(16).hex(), "keepalive_ms": 15000}).encode()
    t.write(struct.pack(">BBHI", 1, 0, len(hello), 0) + hello)
    data = o.read()
    begin = time.perf_counter()
    say(s, data)
    i.write(message(s))
    took = time.perf_counter() - begin
    assert b"wrong name or key" in t.read(65536)
    s.close()
    return took * 1e6

cases = {"unknown name": ("agent", "nobody"), "wrong key": ("agent", "a250"), "revoked key": ("agent", "revoked"),
         "by secret": ("agent", "by-secret"), "client": ("connect", "a250")}
took = {c: [] for c in cases}
for _ in range(times):
    for c in cases:
        took[c].append(refusal(*cases[c]))
for c, v in took.items():
    a, b, d = statistics.quantiles(v, n=4)
    print("%-13s %6.0f us (%.0f to %.0f)" % (c, b, a, d))
PYTHON
python3 "$tmp/refusals.py" "$relay_port" "$tmp/own.pem" "$tmp/own.key" "$times"
