#!/bin/sh
# SPDX-License-Identifier: ISC
# Agent, service or relay end in the middle of requests: a visitor gets a whole answer or a clear error, never a part that looks whole;
# names come back by themselves, and a relay that is told to end finishes what it carries.
# tsan: yes
# limit: 200
. "$(dirname "$0")/lib.sh"

start_service one
start_web --drain 20s --threads 2
begin_agent() { start_agent pi --http "127.0.0.1:$service_port"; }
begin_agent
web() { curl -sS --max-time 60 --resolve "*:$http_port:127.0.0.1" "$@"; }
url=http://pi.t.test:$http_port

# ---- the service ----
# curl knows a cut: 18 partial file, 56 receive error (a reset). Only a reset tells it of one in HTTP/1.0 without a length.
for how in length chunks reset; do
	for version in --http1.1 --http1.0; do
		exit_code web "$version" -o "$tmp/part" "$url/cut/$how"
		case $code in 18 | 52 | 56) ;; *) fail "$version, cut by $how: curl ended with $code, $(wc -c <"$tmp/part") bytes" ;; esac
	done
done

# ---- the agent, again and again, while visitors ask ----
cat >"$tmp/ask.py" <<'PYTHON'
"""Visitors without a pause, until the file STOP is there: counts whole answers, errors with a status, and cuts."""
import os
import sys
import threading
import time
from web_client import Cut, Visitor

port, stop, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
counts = {"whole": 0, "status": 0, "cut": 0, "wrong": 0}
PATHS = [("/big/20000000", 20000000), ("/chunked", 80), ("/name", 4), ("/big/20", 20)]


def ask(v, path, n):
    status, fields, data = v.get("pi.t.test", path)
    if status == 200 and len(data) == n:
        return "whole"
    return "status" if status in (502, 503, 504) else "wrong"


def visit():
    v, i = None, 0
    while not os.path.exists(stop):
        i += 1
        try:
            v = v or Visitor(port)
            got = ask(v, *PATHS[i % len(PATHS)])
            if got == "status":
                v.close()
                v = None
        except (Cut, OSError):
            got, v = "cut", None
        counts[got] += 1


threads = [threading.Thread(target=visit) for _ in range(8)]
for t in threads:
    t.start()
while counts["whole"] == 0 and not os.path.exists(stop):
    time.sleep(0.01)
open(out + ".begun", "w").close()
for t in threads:
    t.join()
print(*(f"{k}={v}" for k, v in counts.items()))
open(out, "w").write(" ".join(f"{k}={v}" for k, v in counts.items()))
PYTHON
is_up() { [ "$(web "$url/name" 2>/dev/null)" = one ]; }
start ask python3 "$tmp/ask.py" "$http_port" "$tmp/ask.stop" "$tmp/ask.out"
wait_for "the visitors' first answer" exists "$tmp/ask.out.begun"
for i in 1 2 3 4 5; do
	wait_for "answers, $i" is_up
	stop pi KILL
	begin_agent
done
wait_for "answers in the end" is_up
touch "$tmp/ask.stop"
wait_for "the visitors" exists "$tmp/ask.out"
echo "killing the agent 5 times: $(cat "$tmp/ask.out")"
expect "answers that are wrong" "wrong=0" "$(grep -o 'wrong=[0-9]*' "$tmp/ask.out")"
! has_line "$tmp/ask.out" "whole=0 " || fail "no whole answer at all"

# ---- an agent that is away for a moment is waited for, others are told ----
stop pi KILL
web "$url/name" >"$tmp/waited" &
waiting=$!
begin_agent
wait "$waiting" || fail "a request that came while the agent was away"
expect "who waited" one "$(cat "$tmp/waited")"
stop pi
expect "an agent that is away" 503 "$(web -o "$tmp/part" -w '%{http_code}' "$url/name")"
begin_agent
wait_for "the name" is_up

# ---- the relay is killed: what has begun is no whole answer ----
cat >"$tmp/hold.py" <<'PYTHON'
import sys
from web_client import Visitor, expect

port, version, ready = int(sys.argv[1]), sys.argv[2], sys.argv[3]
v = Visitor(port)
v.send(f"GET /stall HTTP/{version}\r\nHost: pi.t.test\r\n\r\n")
v.head()
expect("half", b"half", v.take(4))
open(ready, "w").close()
expect("the end", "reset", v.ends())
PYTHON
for version in 1.0 1.1; do
	start "hold$version" python3 "$tmp/hold.py" "$http_port" "$version" "$tmp/hold$version.ready"
	started_file "hold$version" "$tmp/hold$version.ready"
done
stop relay KILL
for version in 1.0 1.1; do
	code=0
	wait "$(pid_of "hold$version")" || code=$?
	expect "what a visitor of $version sees of a killed relay" 0 "$code"
done

# ---- the relay is told to end: it finishes, and says so ----
stop pi
start_web --drain 20s
begin_agent
cat >"$tmp/drain.py" <<'PYTHON'
import os
import signal
import sys
import time
from web_client import Visitor, expect

port, relay = int(sys.argv[1]), int(sys.argv[2])
GET = "GET {} HTTP/1.1\r\nHost: pi.t.test\r\n\r\n"
idle, late, other = Visitor(port), Visitor(port), Visitor(port)
expect("before", 200, idle.get("pi.t.test", "/name")[0])
late.send(f"POST /hash HTTP/1.1\r\nHost: pi.t.test\r\nContent-Length: 5\r\n\r\nab")
other.send(GET.format("/sse"))
other.head()
os.kill(relay, signal.SIGTERM)
expect("an idle one", "end", idle.ends())
late.send("cde")
status, fields, data = late.answer()
expect("one that is carried", (200, "close"), (status, fields.get("connection")))
expect("and then", "end", late.ends())
expect("an answer that had begun", b"data: 0", other.take(int(other.line(), 16))[:7])
PYTHON
python3 "$tmp/drain.py" "$http_port" "$(pid_of relay)" || fail "what the end of the relay looks like"
stop one
code=0
wait "$(pid_of relay)" || code=$?
expect "the relay's exit status" 0 "$code"
