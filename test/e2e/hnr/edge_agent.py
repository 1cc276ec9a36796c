# SPDX-License-Identifier: ISC
"""The edge-agent of http-network-relay as scripted from its description: edge_agent.py [--relay-url U] [--name N] [--secret S]

It repeats the reference's faults: targets are dialled and written to inside the receive loop, so that one slow target stops all; it reads 1024 bytes
at a time; the end of what a target sends is never reported; base64 is read leniently; a message it does not know ends the connection and all streams.

    --old            does not know keep_alive, as versions of before that message
    --no-keep-alive  says none itself
    --no-pong        leaves the relay's pings unanswered once it is logged in: a link that is lost without a word
    --once           does not connect again
"""
import argparse
import asyncio
import os
import sys
import time

from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.legacy.client import connect

from hnr import CHUNK, TO_AGENT, Invalid, Peer, base64_of, data_of, ended, log

KEEP_ALIVE_S = 10
PAUSE_MAX_S = 60


class Agent:
    def __init__(self, args):
        self.args = args
        self.known = {k: v for k, v in TO_AGENT.items() if not (args.old and k == "keep_alive")}
        self.last_error = None

    async def session(self):
        """One connection to the relay, from login to its end."""
        self.targets, self.tasks = {}, []
        async with connect(self.args.relay_url, max_size=1 << 32, ping_interval=20, ping_timeout=20, close_timeout=5) as ws:
            self.relay = Peer(ws, self.known, TO_AGENT)
            try:
                await self.relay.say("start", last_error=self.last_error, name=self.args.name, secret=self.args.secret)
                log(f"logged in as {self.args.name}")
                if not self.args.no_keep_alive:
                    self.spawn(self.keep_alive())
                if self.args.no_pong:
                    ws.pong = self.nothing
                while True:
                    await self.take(await self.relay.hear())
            except Invalid as e:
                await ws.close(1011)
                raise e
            except ConnectionClosed as e:
                log(ended(e))
                if isinstance(e, ConnectionClosedError):
                    self.last_error = str(e)
            finally:
                for task in self.tasks:
                    task.cancel()
                for _, writer in self.targets.values():
                    writer.close()

    async def nothing(self, data=b""):
        """Takes the place of a pong."""

    def spawn(self, work):
        self.tasks.append(asyncio.ensure_future(work))

    async def keep_alive(self):
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            await self.relay.say("keep_alive")

    async def take(self, inner):
        kind, number = inner["kind"], inner.get("connection_id")
        if kind == "initiate_connection":
            await self.dial(inner, number)
        elif kind == "tcp_data" and number in self.targets:
            await self.write(number, data_of(inner))
        elif kind == "connection_close" and number in self.targets:
            log(f"connection_close: {inner['message']}")
            self.targets.pop(number)[1].close()

    async def dial(self, inner, number):
        """Nothing else of this agent moves until it is through."""
        if inner["protocol"] != "tcp":
            await self.relay.say("initiate_connection_error", message=f"Unsupported protocol: {inner['protocol']}", connection_id=number)
            return
        try:
            self.targets[number] = await asyncio.open_connection(inner["target_ip"], inner["target_port"])
        except OSError as e:
            await self.relay.say("initiate_connection_error", message=str(e), connection_id=number)
            return
        await self.relay.say("initiate_connection_ok", connection_id=number)
        self.spawn(self.read(number, self.targets[number][0]))

    async def write(self, number, data):
        """A target that does not read stops everything behind it."""
        try:
            self.targets[number][1].write(data)
            await self.targets[number][1].drain()
        except OSError:
            del self.targets[number]
            await self.relay.say("connection_reset", message="Connection reset while writing data", connection_id=number)

    async def read(self, number, reader):
        """An end or a reset is reported to nobody."""
        try:
            while data := await reader.read(CHUNK):
                await self.relay.say("tcp_data", connection_id=number, data_base64=base64_of(data))
        except (OSError, ConnectionClosed):
            pass


def main():
    env = os.environ.get
    p = argparse.ArgumentParser()
    p.add_argument("--relay-url", default=env("HTTP_NETWORK_RELAY_URL", "ws://127.0.0.1:8000/ws_for_edge_agents"))
    p.add_argument("--name", default=env("HTTP_NETWORK_RELAY_NAME", "unnamed"))
    p.add_argument("--secret", default=env("HTTP_NETWORK_RELAY_SECRET"))
    for flag in "--old", "--no-keep-alive", "--no-pong", "--once":
        p.add_argument(flag, action="store_true")
    agent = Agent(p.parse_args())
    pause_s = 1
    while True:
        began = time.monotonic()
        try:
            asyncio.run(agent.session())
        except Exception as e:  # whatever it is, it is what the next start reports
            agent.last_error = str(e)
            log(f"failed: {e}")
        if agent.args.once:
            sys.exit(0)
        if time.monotonic() - began > PAUSE_MAX_S:
            pause_s = 1
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_MAX_S)


main()
