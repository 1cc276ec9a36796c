#!/bin/sh
# SPDX-License-Identifier: ISC
# A client that opens streams end to end and never shakes hands has its share of an agent's handshakes and no more: another client
# comes in beside it as before, and so does a stream that stands.
. "$(dirname "$0")/lib.sh"

e2e_files
make_key mallory
cat >"$tmp/creds.json" <<JSON
{"edge-agents": {"pi": {"key": "$(public_key pi)"}},
 "access-client-secrets": [],
 "clients": {"alice": {"key": "$(public_key alice)", "agents": ["*"], "e2e": true},
             "mallory": {"secret": "mallory-secret", "agents": ["*"], "e2e": true}}}
JSON
printf 'mallory-secret' >"$tmp/mallory.secret"
chmod 600 "$tmp/mallory.secret"
start_e2e_relay relay
start_e2e_agent pi
start_tcp greet greet hello
cat >"$tmp/flood.py" <<'PYTHON'
import asyncio, os, sys
import py_tunnel as t
async def main():
    s = t.Session("connect", "pi", "mallory-secret")
    await s.start(sys.argv[1])
    for i in range(400):
        number = 2 * i + 1
        s.streams[number] = t.Stream(s, number, 8192, 8192)
        s.put(s.frame(t.OPEN, number, t.dense({"token": os.urandom(16).hex(), "protocol": "e2e"})))
    await asyncio.sleep(0)
    refused = lambda: sum(1 for x in s.streams.values() if x.reset and x.reset[0] == t.LIMIT)
    taken = lambda: sum(1 for x in s.streams.values() if x.answer is not None)
    while refused() + taken() < 400:
        s.came.clear()
        await asyncio.wait_for(s.came.wait(), 30)
    print("taken %d, refused %d" % (taken(), refused()), flush=True)
    open(sys.argv[2], "w").close()
    await asyncio.sleep(3600)
asyncio.run(main())
PYTHON
python=python3
/usr/bin/python3 -c 'import websockets' 2>/dev/null && python=/usr/bin/python3
start flood "$python" "$tmp/flood.py" "$relay_url" "$tmp/flood.ready"
started_file flood "$tmp/flood.ready"
has_line "$tmp/flood.log" "taken 64, refused 336" || fail "the flood: $(cat "$tmp/flood.log")"
for _ in 1 2 3 4 5; do
	expect "alice beside the flood" hello "$(e2e pi 127.0.0.1 "$tcp_port" </dev/null)"
done
