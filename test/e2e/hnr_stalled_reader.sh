#!/bin/sh
# SPDX-License-Identifier: ISC
# One stream through an unmodified edge-agent is not read, and its target sends without end: the others of that agent go on, the relay's memory stays
# bounded, and in the end the stream that holds it is closed.  A reader that is slow gets all its bytes.
# limit: 200
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"
WAIT_S=60

cat >"$tmp/flood.py" <<'PYTHON'
import os, socket, sys, threading
l = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1] + ".new", "w").write(str(l.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
def serve(s):
    try:
        while True:
            s.sendall(b"x" * 65536)
    except OSError:
        s.close()
while True:
    threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
PYTHON
start_relay relay --identity-memory 24m
make_data "$tmp/file" 30000000
start_tcp send send "$tmp/file"
send=$tcp_port
start_tcp echo echo
start flood python3 "$tmp/flood.py" "$tmp/flood.port"
started_file flood "$tmp/flood.port"
HNR_CHUNK=16384
export HNR_CHUNK
start_agent_of theirs pi
start_connect forward -L "0=pi:127.0.0.1:$(cat "$tmp/flood.port")" -L "0=pi:127.0.0.1:$tcp_port" -L "0=pi:127.0.0.1:$send"
port_of() { json "$tmp/forward.ready" "d['local'][$1]['port']"; }

# A reader of half a second's pauses: far slower than the agent, and never stalled for long.
cat >"$tmp/slow.py" <<'PYTHON'
import hashlib, socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
h, n = hashlib.sha256(), 0
while n < 30000000:
    b = s.recv(1500000)
    if not b:
        break
    h.update(b)
    n += len(b)
    if n % 7 == 0:
        time.sleep(0.05)
print(n, h.hexdigest())
PYTHON
start slow python3 "$tmp/slow.py" "$(port_of 2)"

# The one that does not read.
cat >"$tmp/stalled.py" <<'PYTHON'
import socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("open", flush=True)
time.sleep(1000)
PYTHON
start stalled python3 "$tmp/stalled.py" "$(port_of 0)"
wait_for "the stalled stream" has_line "$tmp/stalled.log" open

# Words go to and fro beside it, each within the time that a pause and a busy machine take, until it is closed.
cat >"$tmp/words.py" <<'PYTHON'
import os, socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
worst = 0
while not os.path.exists(sys.argv[2]):
    t = time.time()
    s.sendall(b"word")
    got = b""
    while len(got) < 4:
        got += s.recv(4)
    worst = max(worst, time.time() - t)
    time.sleep(0.05)
print("worst %.1f s" % worst, "fine" if worst < 15 else "TOO LONG")
PYTHON
start words python3 "$tmp/words.py" "$(port_of 1)" "$tmp/enough"
closed() { has_line "$tmp/relay.log" 'closed by relay: limit reached: the streams of this identity hold more'; }
wait_for "the stalled stream to be closed" closed
: >"$tmp/enough"
wait_for "the words" has_line "$tmp/words.log" worst
has_line "$tmp/words.log" fine || fail "$(cat "$tmp/words.log")"
wait_for "the slow reader" has_line "$tmp/slow.log" 30000000
expect "what the slow one has got" "30000000 $(sum_of "$tmp/file")" "$(cat "$tmp/slow.log")"
[ -n "${TUNNEL_SAN:-}" ] || [ "$(peak_kib relay)" -lt 120000 ] || fail "the relay took $(peak_kib relay) KiB"
no_violations
