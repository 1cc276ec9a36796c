#!/bin/sh
# SPDX-License-Identifier: ISC
# An agent whose first login is lost on the way, so that the relay gives it up as too late, dials again: only a secret that is wrong
# makes it go away for good.
. "$(dirname "$0")/lib.sh"

start_relay relay --handshake-timeout 300ms

# Of the first connection only the request passes, all that follows it is lost.
cat >"$tmp/lossy.py" <<'PY'
import os, socket, sys, threading
path, port = sys.argv[1], int(sys.argv[2])
def carry(a, b, first_only):
    try:
        while d := a.recv(65536):
            b.sendall(d)
            if first_only:
                while a.recv(65536):
                    pass
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
l = socket.create_server(("127.0.0.1", 0))
open(path + ".new", "w").write(str(l.getsockname()[1]))
os.rename(path + ".new", path)
first = True
while True:
    s, _ = l.accept()
    r = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=carry, args=(s, r, first), daemon=True).start()
    threading.Thread(target=carry, args=(r, s, False), daemon=True).start()
    first = False
PY
start lossy python3 "$tmp/lossy.py" "$tmp/lossy.port" "$relay_port"
started_file lossy "$tmp/lossy.port"
relay_url=ws://127.0.0.1:$(cat "$tmp/lossy.port")
start_agent pi
grep -q "no login within the time allowed" "$tmp/pi.log" || fail "the first login was not too late"
