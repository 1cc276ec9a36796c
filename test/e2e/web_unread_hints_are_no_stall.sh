#!/bin/sh
# SPDX-License-Identifier: ISC
# A visitor who has not read the last answer yet is sent so many 103 that nothing more fits: when it reads again the final answer comes,
# and not the end of --request-timeout.
# tsan: yes
# limit: 60
. "$(dirname "$0")/lib.sh"

start_service one
start_web --request-timeout 4s
start_agent pi --http "127.0.0.1:$service_port"

cat >"$tmp/ask.py" <<'PYTHON'
import socket
import sys
import time
from web_client import Visitor, expect

s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.connect(("127.0.0.1", int(sys.argv[1])))
s.settimeout(30)
v = Visitor.__new__(Visitor)
v.s, v.b = s, b""
for path in ("/big/150000", "/hints/much"):
    v.send(f"GET {path} HTTP/1.1\r\nHost: pi.t.test\r\n\r\n")
time.sleep(1)  # all of the 103 have come
expect("the first answer", 200, v.answer()[0])
while (got := v.answer())[0] == 103:
    pass
expect("behind the hints", (200, b"done\n"), (got[0], got[2]))
PYTHON
python3 "$tmp/ask.py" "$http_port" || fail "no answer behind the hints"
