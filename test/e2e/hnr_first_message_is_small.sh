#!/bin/sh
# SPDX-License-Identifier: ISC
# Somebody who is not logged in cannot make the relay collect much: a first message of more than 64 KiB is closed with 1009.  Whoever is in has 1 MiB.
. "$(dirname "$0")/lib.sh"
. "$here/hnr/peers.sh"

start_relay relay
"$python" - "$relay_url" "$agent_secret" "$client_secret" "$tmp/relay.log" >"$tmp/said" <<'PYTHON'
import asyncio, base64, json, sys
import websockets

url, agent_secret, client_secret, log = sys.argv[1:]

def text(**inner):
    return json.dumps({"inner": inner})

def inner(message):
    return json.loads(message)["inner"]

async def refused(path, message):
    async with websockets.connect(url + path) as w:
        try:
            await w.send(message)
            await asyncio.wait_for(w.recv(), 20)
        except websockets.ConnectionClosed as e:
            return e.code

async def main():
    start = dict(kind="start", name="pi", secret=agent_secret)
    print(await refused("/ws_for_edge_agents", text(last_error="x" * 70000, **start)))
    print(await refused("/ws_for_access_clients", text(kind="start", secret="x" * 70000)))
    async with websockets.connect(url + "/ws_for_edge_agents") as a:
        await a.send(text(last_error="x" * 60000, **start))
        while "agent pi: session opened" not in open(log).read():
            await asyncio.sleep(0.05)
        async with websockets.connect(url + "/ws_for_access_clients") as c:
            await c.send(text(kind="start", connection_target="pi", target_ip="h", target_port=1, protocol="tcp", secret=client_secret))
            i = inner(await a.recv())["connection_id"]
            await a.send(text(kind="initiate_connection_ok", connection_id=i))
            await c.recv()
            await a.send(text(kind="tcp_data", connection_id=i, data_base64=base64.b64encode(b"x" * 700000).decode()))
            n = 0
            while n < 700000:
                n += len(base64.b64decode(inner(await c.recv())["data_base64"]))
            print(n)

asyncio.run(main())
PYTHON
expect "close codes, and bytes of a message that is allowed" "1009 1009 700000" "$(tr '\n' ' ' <"$tmp/said" | sed 's/ $//')"
