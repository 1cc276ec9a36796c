#!/bin/sh
# SPDX-License-Identifier: ISC
# After the traffic neither end of a session end to end has what passed in its memory, nor its private key as text.
. "$(dirname "$0")/lib.sh"

[ -z "${TUNNEL_SAN:-}" ] || {
	echo "a sanitizer keeps what was freed"
	exit 0
}
e2e_files
start_e2e_relay relay
start_e2e_agent pi
start_tcp echo echo
start_e2e local -L "0=pi:127.0.0.1:$tcp_port"
port=$(json "$tmp/local.ready" 'd["local"][0]["port"]')
# Every 32 bytes of it say what they are, small pieces and large ones.
cat >"$tmp/talk.py" <<'PYTHON'
import socket, sys
mark = b"what-nobody-else-is-to-read-%04d"
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(60)
for n in (1, 30, 300, 3000, 100000):
    data = b"".join(mark % (i % 10000) for i in range(n))
    s.sendall(data)
    got = b""
    while len(got) < len(data):
        b = s.recv(1 << 20)
        assert b, "an end"
        got += b
    assert got == data
print("held", flush=True)
s.shutdown(socket.SHUT_WR)
assert s.recv(1) == b""
PYTHON
python3 "$tmp/talk.py" "$port" >/dev/null || fail "the traffic"
closed() { has_line "$tmp/pi.log" "stream alice.*closed by"; }
wait_for "the stream to end" closed

for name in local pi; do
	gcore -o "$tmp/core" "$(pid_of $name)" >"$tmp/gcore.log" 2>&1 || fail "no core: $(cat "$tmp/gcore.log")"
	# The test can see: what must be there is found.
	grep -aq "tunnel-pub-" "$tmp/core.$(pid_of $name)" || fail "$name: the core has nothing at all"
	! grep -aq "what-nobody-else-is-to-read" "$tmp/core.$(pid_of $name)" || fail "$name still has what passed"
	! grep -aq "$(cut -c1-40 "$tmp/$(echo $name | sed s/local/alice/).key")" "$tmp/core.$(pid_of $name)" || fail "$name still has its key as text"
	rm -f "$tmp"/core.*
done
