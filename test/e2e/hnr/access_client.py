# SPDX-License-Identifier: ISC
"""The access-client of http-network-relay as scripted from its description: access_client.py TARGET IP PORT PROTOCOL [--relay-url U] [--secret S]

It repeats the reference's faults: the first message counts as the answer whatever it is; the end of standard input is told to nobody; a message of
1 MiB or one that it does not know is fatal; whatever ends it but a crash is exit status 0.

    --no-read  reads nothing more from the WebSocket after the answer, but answers pings until its small queue is full
"""
import argparse
import asyncio
import os
import sys

from websockets.exceptions import ConnectionClosed
from websockets.legacy.client import connect

from hnr import CHUNK, TO_CLIENT, Invalid, Peer, base64_of, data_of, ended, log


async def send_input(relay):
    """Standard input must be a pipe, a socket or a terminal: of a file nothing is sent, and nobody is told."""
    reader = asyncio.StreamReader()
    try:
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while data := await reader.read(CHUNK):
            await relay.say("tcp_data", data_base64=base64_of(data))
    except (ValueError, OSError, ConnectionClosed):
        pass


async def session(args):
    async with connect(args.relay_url, max_size=1 << 20, ping_interval=20, ping_timeout=20, close_timeout=5) as ws:
        relay = Peer(ws, TO_CLIENT)
        await relay.say("start", connection_target=args.target, target_ip=args.ip, target_port=args.port, protocol=args.protocol, secret=args.secret)
        try:
            answer = await relay.hear()
            if answer["kind"] == "error":
                log(f"error: {answer['message']}")
                await receive(relay)
            if answer["kind"] != "start_ok":
                log("VIOLATION 4.2: tcp_data before start_ok, which is lost")
            log("start_ok")
            sending = asyncio.ensure_future(send_input(relay))
            if args.no_read:
                await asyncio.Event().wait()
            try:
                await receive(relay)
            finally:
                sending.cancel()
        except ConnectionClosed as e:
            log(ended(e))
        except Invalid as e:
            await ws.close(1011)
            raise e


async def receive(relay):
    while True:
        inner = await relay.hear()
        if inner["kind"] == "tcp_data":
            sys.stdout.buffer.write(data_of(inner))
            sys.stdout.buffer.flush()
        else:
            log(f"late {inner}")


def main():
    env = os.environ.get
    p = argparse.ArgumentParser()
    p.add_argument("target")
    p.add_argument("ip")
    p.add_argument("port", type=int)
    p.add_argument("protocol")
    p.add_argument("--relay-url", default=env("HTTP_NETWORK_RELAY_URL", "ws://127.0.0.1:8000/ws_for_access_clients"))
    p.add_argument("--secret", default=env("HTTP_NETWORK_RELAY_SECRET"))
    p.add_argument("--no-read", action="store_true")
    asyncio.run(session(p.parse_args()))


main()
