#!/bin/sh
# SPDX-License-Identifier: ISC
# Forwards end, and free all they have, whatever stage their connections are at: SOCKS half said, target not reached yet,
# carried. Connections were cut, so the exit status is 1.
. "$(dirname "$0")/lib.sh"

start_tcp echo echo
start_relay relay
start_agent pi
start_connect forward -L 0=pi:127.0.0.1:"$tcp_port" -D 0=pi
python3 - "$tmp/forward.ready" "$tcp_port" "$(pid_of relay)" "$(pid_of forward)" <<'PY'
import json, os, signal, socket, struct, sys
ready, echo, relay, forward = json.load(open(sys.argv[1])), *map(int, sys.argv[2:])
local, socks = ready["local"][0]["port"], ready["socks"][0]["port"]
to_echo = b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + struct.pack(">H", echo)

def said(port, said, answer):
    s = socket.create_connection(("127.0.0.1", port), 10)
    s.sendall(said)
    got = b""
    while len(got) < len(answer):
        got += s.recv(99) or b"<end>"
    assert got == answer, got
    return s

begun = [said(socks, b"", b""), said(socks, b"\5", b""), said(socks, b"\5\1\0", b"\5\0"), said(socks, to_echo[:-1], b"\5\0"),
         said(socks, to_echo + b"hi", b"\5\0" + b"\5\0\0\1\0\0\0\0\0\0" + b"hi"), said(local, b"hi", b"hi")]
# From here on nobody answers.
os.kill(relay, signal.SIGSTOP)
begun += [said(socks, to_echo + b"hi", b"\5\0"), said(local, b"hi", b"")]
os.kill(forward, signal.SIGTERM)
for s in begun:
    s.settimeout(10)
    try:
        while s.recv(99):
            pass
    except ConnectionResetError:
        pass
PY
# It has been told to end; a second signal would cut that short.
code=0
wait "$(pid_of forward)" || code=$?
expect "exit status of forwards" 1 "$code"
