#!/bin/sh
# SPDX-License-Identifier: ISC
# End to end, standard input and output, -L and -D carry what they carry without: every size, half-closes each way, datagrams, and an
# agent that comes back.
# tsan: yes
. "$(dirname "$0")/lib.sh"

e2e_files
start_e2e_relay relay
start_e2e_agent pi --require-e2e

# Each direction ends by itself: the answer comes after the end of the question, and the other way round.
start_tcp hash hash
hash_port=$tcp_port
for n in $SIZES; do
	make_data "$tmp/in" "$n"
	e2e pi 127.0.0.1 "$hash_port" <"$tmp/in" >"$tmp/out" || fail "exit status $? with $n bytes"
	expect "$n bytes, answered after the half-close" "$(sum_of "$tmp/in") $n" "$(cat "$tmp/out")"
	make_data "$tmp/theirs" "$n"
	start_tcp "send$n" send "$tmp/theirs"
	e2e pi 127.0.0.1 "$tcp_port" tcp <"$tmp/in" >"$tmp/out" || fail "exit status $? with $n bytes"
	same_files "$tmp/theirs" "$tmp/out"
	wait_for "the service to read all" exists "$tmp/send$n.port.got"
	expect "$n bytes sent" "$(sum_of "$tmp/in") $n" "$(cat "$tmp/send$n.port.got")"
done
make_data "$tmp/theirs" 30000000
start_tcp swap swap "$tmp/theirs"
e2e pi 127.0.0.1 "$tcp_port" tcp <"$tmp/in" >"$tmp/out" || fail "exit status $?"
same_files "$tmp/theirs" "$tmp/out"
wait_for "the service to read all" exists "$tmp/swap.port.got"
expect "both at once" "$(sum_of "$tmp/in") 30000000" "$(cat "$tmp/swap.port.got")"

# Many at once through one session, by a port and by SOCKS.
start_e2e local -L "0=pi:127.0.0.1:$hash_port" -D 0=pi
port=$(json "$tmp/local.ready" 'd["local"][0]["port"]')
socks=$(json "$tmp/local.ready" 'd["socks"][0]["port"]')
cat >"$tmp/many.py" <<'PYTHON'
import hashlib, os, socket, sys, threading
port, n = int(sys.argv[1]), int(sys.argv[2])
bad = []
def one(i):
    data = os.urandom(1000 * (i * 7 % 500))
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(60)
    if len(sys.argv) > 3:
        s.sendall(bytes.fromhex("050100"))
        assert s.recv(2) == b"\5\0"
        s.sendall(bytes.fromhex("05010001" "7f000001") + int(sys.argv[3]).to_bytes(2, "big"))
        assert s.recv(10, socket.MSG_WAITALL)[:2] == b"\5\0"
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    got = b""
    while b := s.recv(4096):
        got += b
    if got.decode() != "%s %d\n" % (hashlib.sha256(data).hexdigest(), len(data)):
        bad.append(i)
threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
[t.start() for t in threads]
[t.join() for t in threads]
sys.exit(f"wrong: {bad}" if bad else 0)
PYTHON
python3 "$tmp/many.py" "$port" 100 || fail "-L"
python3 "$tmp/many.py" "$socks" 100 "$hash_port" || fail "-D"
sessions() { grep -c "end to end with agent pi" "$tmp/local.log"; }
expect "sessions end to end" 1 "$(sessions)"

# Datagrams.
start_udp udp echo
expect "a datagram and its answer" hello "$(
	python3 - "$udp_port" "$(e2e_command)" <<-'PYTHON'
		import subprocess, sys
		p = subprocess.Popen(sys.argv[2].split() + ["pi", "127.0.0.1", sys.argv[1], "udp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
		p.stdin.write(b"hello")
		p.stdin.flush()
		print(p.stdout.read(5).decode())
		p.stdin.close()
		p.terminate()
	PYTHON
)"

# The agent goes in good order, with nothing open, and another one comes: the next connection finds it.
stop pi
expect "the agent's exit status" 0 "$code"
start_e2e_agent pi --require-e2e
again() { python3 "$tmp/many.py" "$port" 5 2>"$tmp/many.err"; }
wait_for "connections through the new agent" again
stop pi KILL
start_e2e_agent pi --require-e2e
wait_for "connections after a kill" again
# So does the relay.
stop relay
start_e2e_relay relay --listen "127.0.0.1:$relay_port"
wait_for "connections through the new relay" again
stop local
expect "the client's exit status" 0 "$code"
