#!/bin/sh
# SPDX-License-Identifier: ISC
# A relay that refuses a stream, breaks it, or breaks the protocol: what was refused or cut is a reset to the local program, and
# exit status 1 with a message where it is a pipe; bytes before OPEN_OK are never written.
. "$(dirname "$0")/lib.sh"

secrets
start fake python3 "$here/fake_relay.py" "$tmp/fake.port"
started_file fake "$tmp/fake.port"
at=ws://127.0.0.1:$(cat "$tmp/fake.port")

# ---- standard input and output ----

# through PART INPUT - tunnel connect against that part of the fake relay.
through() {
	relay_url=$at/$1
	printf '%s' "$2" >"$tmp/in"
	exit_code connect pi ssh <"$tmp/in"
}

through good ''
expect "exit status of a good stream" 0 "$code"
expect "bytes of a good stream" hello "$(cat "$tmp/out")"

# told PART INPUT OUTPUT MESSAGE
told() {
	through "$1" "$2"
	expect "exit status of $1" 1 "$code"
	expect "bytes of $1" "$3" "$(cat "$tmp/out")"
	has_line "$tmp/err.log" "$4" || fail "$1 says: $(cat "$tmp/err.log")"
}
told data-first '' '' 'protocol error: the answering side sent bytes before it accepted'
told data-first 'more' '' 'protocol error: the answering side sent bytes before it accepted'
told end-first '' '' 'protocol error: the answering side ended before it accepted'
told refused 'hello' '' 'refused on purpose'
told broken hello hel 'broken on purpose'
told crossed 'hello' '' 'going away'
wait_for "the relay to be told" has_line "$tmp/fake.log" "/data-first: RESET 8 "

# ---- a local port, a SOCKS proxy ----

# What a program sees that says five bytes and reads to the end.
cat >"$tmp/program.py" <<'PYTHON'
import json, socket, sys
ready, way, half = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3] == "half"
s = socket.socket()
try:
    # It blocks, so that it is through as soon as the connection stands, which may be reset at once.
    s.connect(("127.0.0.1", ready["local" if way == "-L" else "socks"][0]["port"]))
except ConnectionResetError:
    sys.exit(":reset")
s.settimeout(20)
if way == "-D":
    s.sendall(b"\5\1\0" + b"\5\1\0\3\4name\0\1")
    assert s.recv(2, socket.MSG_WAITALL) == b"\5\0"
    said = s.recv(10, socket.MSG_WAITALL)
    if said[1] != 0:
        assert s.recv(1) == b"", "bytes after a refusal"
        sys.exit("reply %d" % said[1])
got, end = b"", "end"
try:
    s.sendall(b"hello")
    if half:
        s.shutdown(socket.SHUT_WR)
except OSError:
    end = "reset" # told once: the reads after it see what came before, and then an end
try:
    while d := s.recv(100):
        got += d
except ConnectionError:
    end = "reset"
print(got.decode() + ":" + end)
PYTHON
# sees PART WAY EXPECTED [half]
sees() {
	relay_url=$at/$1
	name=forward$2-$1
	if ! [ -e "$tmp/$name.pid" ]; then
		start_connect "$name" -L 0=pi:ssh -D 0=pi
	fi
	expect "what a program sees of $1 through $2" "$3" "$(python3 "$tmp/program.py" "$tmp/$name.ready" "$2" "${4:-}" 2>&1)"
}
for half in '' half; do
	for way in -L -D; do
		sees good $way hello:end $half
		sees broken $way hel:reset $half
	done
	for part in data-first end-first refused; do
		sees $part -L :reset $half
	done
	for part in data-first end-first; do
		sees $part -D "reply 1" $half
	done
done

# An OPEN that crosses a goodbye is refused; the next connection goes to the next session.
sees crossed-local -L :reset
sees crossed-local -L hello:end
sees crossed-socks -D "reply 1"
sees crossed-socks -D hello:end
