#!/bin/sh
# SPDX-License-Identifier: ISC
# A recorded handshake and session, cut at every length and with every byte changed, and frames that no peer should send: the relay
# refuses, its memory stays flat, other sessions work on.
# tsan: yes
# limit: 240
. "$(dirname "$0")/lib.sh"

start_tcp greet greet hello
start_relay_with_tls --connection-rate 1000000 --handshake-timeout 5s
start_agent pi

# record PORT OPTION... - what a client sends to PORT, in $tmp/record.
cat >"$tmp/record.py" <<'PYTHON'
import os, socket, subprocess, sys, threading
out, port, *command = sys.argv[1:]
l = socket.create_server(("127.0.0.1", 0))
p = subprocess.Popen([a.replace("PORT", str(l.getsockname()[1])) for a in command], stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
s = l.accept()[0]
t = socket.create_connection(("127.0.0.1", int(port)))
def back():
    while True:
        d = t.recv(65536)
        if not d:
            break
        s.sendall(d)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=back, daemon=True).start()
with open(out, "wb") as f:
    while True:
        try:
            d = s.recv(65536)
        except OSError:
            break
        if not d:
            break
        f.write(d)
        try:
            t.sendall(d)
        except OSError:
            break
p.wait()
PYTHON
record() {
	out=$1 port=$2
	shift 2
	python3 "$tmp/record.py" "$out" "$port" "$@"
	[ -s "$out" ] || fail "nothing recorded"
}
record "$tmp/plain" "$relay_port" "$TUNNEL_BIN" connect --relay ws://127.0.0.1:PORT --secret-file "$tmp/client.secret" \
	pi 127.0.0.1 "$tcp_port"
record "$tmp/secure" "$tls_port" "$TUNNEL_BIN" connect --relay wss://localhost:PORT --ca "$tmp/tls.pem" \
	--secret-file "$tmp/client.secret" pi 127.0.0.1 "$tcp_port"

# replay RECORD PORT STEP - every cut and every change, each STEP bytes apart, many at once; the connection must end.
cat >"$tmp/replay.py" <<'PYTHON'
import concurrent.futures, socket, sys
record, port, step = open(sys.argv[1], "rb").read(), int(sys.argv[2]), int(sys.argv[3])
def play(data):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
    except ConnectionError:
        pass
    s.close()
def variants():
    for i in range(0, len(record), step):
        yield record[:i]
        for flip in (0x01, 0x80, 0xff):
            yield record[:i] + bytes([record[i] ^ flip]) + record[i + 1:]
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    n = sum(1 for _ in pool.map(play, variants()))
print("%d variants of %s (%d bytes)" % (n, sys.argv[1].rsplit("/", 1)[1], len(record)))
PYTHON
step=1
[ -z "${TUNNEL_SAN:-}" ] || step=7
python3 "$tmp/replay.py" "$tmp/plain" "$relay_port" $step >"$tmp/warm.log"
before_plain=$(rss_kib relay)
before_tls=$(rss_kib tls)
python3 "$tmp/replay.py" "$tmp/plain" "$relay_port" $step
python3 "$tmp/replay.py" "$tmp/secure" "$tls_port" $step

# Frames after a good handshake, by hand.
cat >"$tmp/frames.py" <<'PYTHON'
import os, socket, sys
from ws_client import frame, upgraded
port = int(sys.argv[1])
cases = {
    "unmasked": frame(b"hello", mask=False),
    "a length of 2^63": frame(b"", length=1 << 63),
    "a length of 2^40": frame(b"x" * 1000, length=1 << 40),
    "text": frame(b"{}", opcode=1),
    "an unknown opcode": frame(b"", opcode=11),
    "a long ping": frame(b"x" * 200, opcode=9),
    "a mux frame of unknown type": frame(b"\xff" * 64),
    "a mux frame with a huge length": frame(b"\x00\x00\xff\xff\xff\xff\xff\xff" * 4),
    "zeros": frame(bytes(4096)),
    "random": frame(os.urandom(65000)),
}
for name, data in cases.items():
    s = upgraded(port)
    try:
        s.sendall(data)
        got = b""
        while True:
            d = s.recv(65536)
            if not d:
                break
            got += d
            assert len(got) < 100000, name
    except ConnectionError:
        pass
    except socket.timeout:
        raise SystemExit("%s: the connection stays open" % name)
    s.close()
PYTHON
python3 "$tmp/frames.py" "$relay_port"

# The recorded handshake has a good login in it: a replay of it opened nothing that stays.
for name in relay tls; do
	! is_dead $name || fail "$name has ended"
done
expect "others work on" hello "$(connect pi 127.0.0.1 "$tcp_port" </dev/null)"
echo "memory (KiB), before and after: plain $before_plain $(rss_kib relay), TLS $before_tls $(rss_kib tls)"
if [ -z "${TUNNEL_SAN:-}" ]; then
	[ "$(rss_kib relay)" -lt $((before_plain + 4000)) ] || fail "the plain relay grew"
	[ "$(rss_kib tls)" -lt $((before_tls + 12000)) ] || fail "the TLS relay grew"
fi
! grep -h -e client-secret-of-this-test -e agent-secret-of-this-test "$tmp/relay.log" "$tmp/tls.log" || fail "a secret in the log"
