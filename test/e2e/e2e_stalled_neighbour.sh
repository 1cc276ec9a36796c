#!/bin/sh
# SPDX-License-Identifier: ISC
# Inside one session end to end a reader that has stopped stalls nobody: beside it 20 transfers each way go through, each at once.
. "$(dirname "$0")/lib.sh"

e2e_files
start_e2e_relay relay
start_e2e_agent pi
start_tcp stall stall
stall_port=$tcp_port
start_tcp hash hash
hash_port=$tcp_port
start_tcp echo echo
echo_port=$tcp_port
start_e2e local -L "0=pi:127.0.0.1:$stall_port" -L "0=pi:127.0.0.1:$hash_port" -L "0=pi:127.0.0.1:$echo_port"
cat >"$tmp/beside.py" <<'PYTHON'
import hashlib, json, os, socket, sys, threading, time
stall, hashes, echo = [x["port"] for x in json.load(open(sys.argv[1]))["local"]]
def dial(port):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(30)
    return s
# One that fills all there is towards a reader that never reads.
stalled = dial(stall)
stalled.settimeout(0.5)
try:
    while True:
        stalled.send(bytes(1 << 20))
except socket.timeout:
    pass
data = os.urandom(3 << 20)
worst = 0
for i in range(20):
    s, t = dial(hashes), time.monotonic()
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    got = s.makefile("rb").read().decode()
    assert got == "%s %d\n" % (hashlib.sha256(data).hexdigest(), len(data)), got
    s, left = dial(echo), len(data)
    def send():
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    threading.Thread(target=send).start()
    while b := s.recv(1 << 20):
        left -= len(b)
    assert left == 0, left
    worst = max(worst, time.monotonic() - t)
print("the slowest of 20: %.2f s" % worst)
assert worst < 20, "a transfer has stood still"
PYTHON
timeout 110 python3 "$tmp/beside.py" "$tmp/local.ready" || fail "beside a stalled reader"
