# SPDX-License-Identifier: ISC
"""The network-relay of http-network-relay as scripted from its description: network_relay.py [--host H] [--port P] [--credentials-file F]

It repeats the reference's faults: a second login cuts the newcomer; a message of an agent that it cannot read blocks that name for ever; a refused
dial cuts the client after the error; a client's message that it cannot read cuts it, and its target stays open; nobody hears of an agent that is lost
while it dials; a reset loses what was not yet forwarded, and the agent hears connection_close twice; what a slow client does not take is kept without
bound.

    --port-file F     where the port that it listens on is written, by rename (with --port 0)
    --keep-alive-s N  seconds between two keep_alive to an agent, 30 in the reference
"""
import argparse
import asyncio
import json
import os
import signal
import uuid
from http import HTTPStatus

from websockets.exceptions import ConnectionClosed
from websockets.legacy.server import serve

from hnr import TO_RELAY_AGENT, TO_RELAY_CLIENT, Invalid, Peer, ended, log, write_file

OLD_AGENT = ("Input tag 'keep_alive' found using 'kind' does not match any of the expected tags",
             "Input tag 'successfully_ssh_connected' found using 'kind' does not match any of the expected tags")


class Hearer(Peer):
    """A binary message is fatal to this program, unlike to the other two."""

    def parsed(self, raw):
        if not isinstance(raw, str):
            raise Invalid("a binary message")
        return super().parsed(raw)


class Connection:
    """Of one access-client: answer is a future of the agent's, queue is what it has sent, unbounded; None ends it."""

    def __init__(self, agent):
        self.agent, self.id = agent, str(uuid.uuid4())
        self.answer = asyncio.get_running_loop().create_future()
        self.queue = asyncio.Queue()


class Relay:
    def __init__(self, args):
        with open(args.credentials_file) as f:
            credentials = json.load(f)
        self.agents, self.secrets = credentials["edge-agents"], credentials["access-client-secrets"]
        self.keep_alive_s = args.keep_alive_s
        self.registered, self.connections = {}, {}

    async def serve(self, ws, path):
        try:
            if path == "/ws_for_edge_agents":
                await self.edge_agent(Hearer(ws, TO_RELAY_AGENT))
            else:
                await self.access_client(Hearer(ws, TO_RELAY_CLIENT))
        except ConnectionClosed as e:
            log(f"{path}: before its time: {ended(e)}")
        except Invalid as e:
            log(f"{path}: crash: {e}")
            ws.transport.close()

    # agents

    async def edge_agent(self, peer):
        start = await peer.hear()
        if start["kind"] != "start":
            raise Invalid(f"a first message {start['kind']}")
        name = start["name"]
        log(f"agent {name}: start, last_error {start['last_error']!r}")
        if self.agents.get(name) != start["secret"]:
            await peer.ws.close(1000)
            return
        if name in self.registered:
            raise Invalid(f"{name} is registered")
        self.registered[name] = peer
        keeping = asyncio.ensure_future(self.keep_alive(peer, start["last_error"] or ""))
        try:
            while True:
                await self.of_agent(await peer.hear())
        except ConnectionClosed as e:
            log(f"agent {name}: {ended(e)}")
            del self.registered[name]  # not after Invalid: that name is blocked
        finally:
            keeping.cancel()
            for c in [c for c in self.connections.values() if c.agent is peer]:
                c.queue.put_nowait(None)

    async def keep_alive(self, peer, last_error):
        if any(text in last_error for text in OLD_AGENT):
            return
        while True:
            await asyncio.sleep(self.keep_alive_s)
            await peer.say("keep_alive")

    async def of_agent(self, inner):
        kind = inner["kind"]
        c = self.connections.get(inner.get("connection_id"))
        if kind == "keep_alive" or not c:
            return
        if kind == "initiate_connection_ok" and not c.answer.done():
            c.answer.set_result(None)
        elif kind == "initiate_connection_error" and not c.answer.done():
            c.answer.set_result(inner["message"])
        elif kind == "tcp_data":
            c.queue.put_nowait(inner["data_base64"])
        elif kind == "connection_reset":
            log(f"connection_reset: {inner['message']}")
            while not c.queue.empty():
                c.queue.get_nowait()  # lost
            c.queue.put_nowait(None)
            await self.close_target(c)

    # clients

    async def access_client(self, peer):
        start = await peer.hear()
        if start["kind"] != "start":
            raise Invalid(f"a first message {start['kind']}")
        if start["secret"] not in self.secrets:
            await self.refuse(peer, "Invalid access client secret")
        elif start["connection_target"] not in self.registered:
            await self.refuse(peer, "Agent not registered")
        else:
            await self.connection(peer, start)

    async def refuse(self, peer, message):
        await peer.say("error", message=message)
        await peer.ws.close(1000)

    async def connection(self, peer, start):
        agent = self.registered[start["connection_target"]]
        c = Connection(agent)
        self.connections[c.id] = c
        try:
            await agent.say("initiate_connection", target_ip=start["target_ip"], target_port=start["target_port"], protocol=start["protocol"],
                            connection_id=c.id)
            refused = await c.answer  # for ever, when the agent is lost
            if refused is not None:
                await peer.say("error", message=f"Error initiating connection: {refused}")
                raise Invalid("the crash after a refused dial")
            await peer.say("start_ok")
            both = [asyncio.ensure_future(self.to_client(peer, c)), asyncio.ensure_future(self.to_agent(peer, c))]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()
            for found in await asyncio.gather(*both, return_exceptions=True):
                if isinstance(found, Invalid):
                    raise found
            await peer.ws.close(1000)
            await self.close_target(c)  # not after a crash
        except ConnectionClosed:
            await self.close_target(c)
            raise
        finally:
            del self.connections[c.id]

    async def to_client(self, peer, c):
        while (data := await c.queue.get()) is not None:
            await peer.say("tcp_data", data_base64=data)

    async def to_agent(self, peer, c):
        try:
            while True:
                inner = await peer.hear()
                if inner["kind"] == "tcp_data":
                    await c.agent.say("tcp_data", connection_id=c.id, data_base64=inner["data_base64"])
        except ConnectionClosed as e:
            log(f"client: {ended(e)}")

    async def close_target(self, c):
        try:
            await c.agent.say("connection_close", message="Connection closed by relay", connection_id=c.id)
        except ConnectionClosed:
            pass


async def no_such_path(path, headers):
    """403 for an upgrade, 404 in JSON for anything else; None goes on."""
    if "websocket" not in headers.get("Upgrade", "").lower():
        return HTTPStatus.NOT_FOUND, [("Content-Type", "application/json")], b'{"detail":"Not Found"}'
    return None if path in ("/ws_for_edge_agents", "/ws_for_access_clients") else (HTTPStatus.FORBIDDEN, [], b"")


async def run(args):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    relay = Relay(args)
    async with serve(relay.serve, args.host, args.port, process_request=no_such_path, max_size=1 << 24, ping_interval=20, ping_timeout=20,
                     close_timeout=2) as server:
        port = server.sockets[0].getsockname()[1]
        log(f"listens on {args.host}:{port}")
        if args.port_file:
            write_file(args.port_file, str(port))
        await stop.wait()
        for ws in list(server.websockets):
            await ws.close(1012)
    os._exit(0)


def main():
    env = os.environ.get
    p = argparse.ArgumentParser()
    p.add_argument("--host", default=env("HTTP_NETWORK_RELAY_SERVER_HOST", "127.0.0.1"))
    p.add_argument("--port", type=int, default=env("HTTP_NETWORK_RELAY_SERVER_PORT", "8000"))
    p.add_argument("--credentials-file", default=env("HTTP_NETWORK_RELAY_CREDENTIALS_FILE", "credentials.json"))
    p.add_argument("--port-file")
    p.add_argument("--keep-alive-s", type=float, default=30)
    asyncio.run(run(p.parse_args()))


main()
