#!/bin/sh
# SPDX-License-Identifier: ISC
# An address that begins a thousand logins by key at once, at no cost of its own (one ClientHello, again and again), costs the relay
# a turn at a time: another address logs in between them. And of what one address begins, so many a second are gone into.
. "$(dirname "$0")/lib.sh"

make_key relay
openssl ecparam -name prime256v1 -genkey -noout -out "$tmp/own.key" 2>/dev/null
openssl req -x509 -new -key "$tmp/own.key" -subj /CN=any -days 1 -out "$tmp/own.pem" 2>/dev/null
echo '{"edge-agents": {}, "access-client-secrets": ["x"]}' >"$tmp/creds.json"
cat >"$tmp/flood.py" <<'PYTHON'
"""flood.py PORT CERT KEY HOW MANY - a flood from one address, behind a proxy that we are; one login from another beside it."""
import selectors, socket, ssl, struct, sys, time

port, cert, key, how, many = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])

def tls():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode, c.minimum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_3
    c.set_ecdh_curve("prime256v1")
    c.set_alpn_protocols(["tunnel-login/1"])
    c.load_cert_chain(cert, key)
    i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
    return c.wrap_bio(i, o), i, o

def upgraded(address):
    s = socket.create_connection(("127.0.0.1", port), 60)
    s.sendall(("GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Forwarded-For: %s\r\n\r\n" % address).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += s.recv(1)
    assert b" 101 " in head, head
    return s

def frame(data):  # masked with zeros
    return struct.pack(">BBH4x", 0x82, 0x80 | 126, len(data)) + data

def message(s):
    def exactly(n):
        out = b""
        while len(out) < n:
            out += s.recv(n - len(out)) or sys.exit("the relay has ended the connection")
        return out
    n = exactly(2)[1]
    return exactly(struct.unpack(">H", exactly(2))[0] if n == 126 else n)

def login(s):
    """A whole handshake; then what is no frame, which only who has let us in can refuse."""
    t, i, o = tls()
    while True:
        try:
            t.do_handshake()
            break
        except ssl.SSLWantReadError:
            s.sendall(frame(o.read()))
            i.write(message(s))
    t.write(b"\x7f" * 16)
    s.sendall(frame(o.read()))
    message(s)

t, _, o = tls()
try:
    t.do_handshake()
except ssl.SSLWantReadError:
    hello = frame(o.read())
flood = [upgraded("203.0.113.9") for _ in range(many)]
honest = upgraded("192.0.2.7")
looks = selectors.DefaultSelector()
for s in flood:
    looks.register(s, selectors.EVENT_READ)
answered = set()

def look(timeout):
    for k, _ in looks.select(timeout):
        # A whole flight: the relay has signed.
        assert len(message(k.fileobj)) > 300
        answered.add(k.fileobj)
        looks.unregister(k.fileobj)

begin = time.monotonic()
for s in flood:
    s.sendall(hello)
if how == "beside":
    login(honest)
    look(0)
    print("in when %d of %d were answered" % (len(answered), many))
    assert len(answered) < many * 9 // 10, "it had to wait for the flood"
else:
    rate, burst = 100 // 3, 100 // 3 * 2
    while len(answered) < burst + 10:
        look(1)
        took = time.monotonic() - begin
        assert len(answered) <= burst + rate * took + 1, "%d answered in %.2f s" % (len(answered), took)
        assert took < 60, "they do not get on"
    login(honest)
    print("%d answered in %.2f s" % (len(answered), took))
PYTHON

# Fairness alone: the rate is too high to matter.
start_relay fair --threads 1 --key-file "$tmp/relay.key" --trusted-proxy 127.0.0.1 --connection-rate 3000
python3 "$tmp/flood.py" "$relay_port" "$tmp/own.pem" "$tmp/own.key" beside 1000 || fail "the login beside the flood"
stop fair
# And the rate, as it is by default.
start_relay slow --threads 1 --key-file "$tmp/relay.key" --trusted-proxy 127.0.0.1 --handshake-timeout 60s
python3 "$tmp/flood.py" "$relay_port" "$tmp/own.pem" "$tmp/own.key" rate 95 || fail "the rate of an address"
