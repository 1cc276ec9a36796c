#!/bin/sh
# SPDX-License-Identifier: ISC
# Masking keys are zero when the server has agreed to that, random when it knows nothing of it, and an answer to what was not asked
# ends the dial.  The server is our relay behind a forwarder that changes its answer, and one by others.
# limit: 120
. "$(dirname "$0")/lib.sh"

python=/usr/bin/python3 # python3-websockets belongs to it
"$python" -c 'import websockets' || fail "python3-websockets is missing: run 'make deps'"
start_tcp echo echo
start_relay relay
direct=$relay_url

# forwarder NAME ANSWER - passes bytes on to the relay; the extension in its answer becomes ANSWER ("keep": as it is, "": none).
forwarder() {
	start "$1" "$python" -c '
import re, socket, sys, threading
relay, port_file, keys_file, answer = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
def head(s):
    b = b""
    while b"\r\n\r\n" not in b:
        got = s.recv(65536)
        if not got:
            raise OSError("no head")
        b += got
    return b
def copy(a, b):
    try:
        while True:
            x = a.recv(65536)
            if not x:
                break
            b.sendall(x)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve(c):
    r = socket.create_connection(("127.0.0.1", relay))
    request = head(c)
    assert b"Sec-WebSocket-Extensions: tunnel-zero-key\r\n" in request, request
    r.sendall(request)
    text = head(r)
    assert b"Sec-WebSocket-Extensions: tunnel-zero-key\r\n" in text, text
    if answer != "keep":
        line = b"Sec-WebSocket-Extensions: %s\r\n" % answer.encode() if answer else b""
        text = text.replace(b"Sec-WebSocket-Extensions: tunnel-zero-key\r\n", line)
    c.sendall(text)
    threading.Thread(target=copy, args=(r, c), daemon=True).start()
    first = c.recv(65536)
    if len(first) > 8:
        at = {126: 4, 127: 10}.get(first[1] & 127, 2)
        with open(keys_file, "a") as f:
            f.write(first[at:at + 4].hex() + "\n")
    r.sendall(first)
    copy(c, r)
l = socket.create_server(("127.0.0.1", 0))
with open(port_file + ".new", "w") as f:
    f.write(str(l.getsockname()[1]))
import os
os.rename(port_file + ".new", port_file)
while True:
    threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
' "$(echo "$direct" | sed 's/.*://')" "$tmp/$1.port" "$tmp/$1.keys" "$2"
	started_file "$1" "$tmp/$1.port"
	relay_url=ws://127.0.0.1:$(cat "$tmp/$1.port")
}

for answer in keep ""; do
	name=forwarder${answer:-none}
	forwarder "$name" "$answer"
	start_agent "agent$name" --name pi
	start_connect "client$name" -L "0=pi:127.0.0.1:$tcp_port"
	python3 "$here/bulk.py" "$(json "$tmp/client$name.ready" 'd["local"][0]["port"]')" 4 3000000 0 || fail "bulk with \"$answer\""
	expect "connections with \"$answer\"" 2 "$(wc -l <"$tmp/$name.keys")"
	zeros=$(grep -c '^00000000$' "$tmp/$name.keys" || true)
	expect "zero keys with \"$answer\"" "$([ "$answer" = keep ] && echo 2 || echo 0)" "$zeros"
	stop "client$name"
	stop "agent$name"
done

for answer in "tunnel-zero-key; a=1" "permessage-deflate" "tunnel-zero-key, tunnel-zero-key"; do
	name=forwarder$(echo "$answer" | cksum | cut -d' ' -f1)
	forwarder "$name" "$answer"
	exit_code connect pi 127.0.0.1 "$tcp_port" </dev/null
	[ "$code" != 0 ] || fail "\"$answer\" was accepted"
	has_line "$tmp/err.log" "extension that was not offered" || fail "\"$answer\": $(cat "$tmp/err.log")"
done

# A server that has never heard of it opens the connection, and reads our frames.
start others "$python" -c '
import asyncio, os, sys, websockets
async def serve(ws, *path):
    m = await ws.recv()
    with open(sys.argv[1] + ".got", "wb") as f:
        f.write(m)
async def main():
    async with websockets.serve(serve, "127.0.0.1", 0) as server:
        with open(sys.argv[1] + ".new", "w") as f:
            f.write(str(server.sockets[0].getsockname()[1]))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        await asyncio.Future()
asyncio.run(main())
' "$tmp/others.port"
started_file others "$tmp/others.port"
relay_url=ws://127.0.0.1:$(cat "$tmp/others.port")
exit_code connect pi 127.0.0.1 "$tcp_port" </dev/null
has_line "$tmp/others.port.got" '"role":' || fail "no HELLO: $(cat "$tmp/err.log")"
