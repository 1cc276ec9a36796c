# SPDX-License-Identifier: ISC
"""Every message of http-network-relay, valid and damaged, towards one of our programs.

    damaged.py relay URL               a relay that knows the agents "pi" and "lab" (AGENT_SECRET) and the client's CLIENT_SECRET
    damaged.py agent COMMAND...        an agent; the words "{url}" and "{name}" become our relay's and the agent's
    damaged.py client COMMAND...       a client that asks for that agent
    damaged.py access-client COMMAND...
                                       one that exits as the reference does: with status 0 whatever ends the connection

What must happen: other spellings of a message do the same. What is damaged ends in a clean close (a close frame, not a cut), or is passed over and the
session goes on; no name stays taken, no other agent notices, nothing crashes. The last line counts what was tried and what failed.
"""
import asyncio
import base64
import itertools
import json
import os
import signal
import sys

from websockets.legacy.server import serve

import hnr
from raw import WAIT_S, Closed, Line, damaged, dial, dial_status, harmless, text_of

AGENT_SECRET, CLIENT_SECRET = "agent-secret-of-this-test", "client-secret-of-this-test"
AGENTS, CLIENTS = "/ws_for_edge_agents", "/ws_for_access_clients"
CLEAN = {1000, 1002, 1003, 1007, 1008, 1009, 1011}
AT_ONCE = 8  # programs; many wait a second before they come back
OVERSIZED = 20 << 20  # more than anybody takes
BAD_BASE64 = {"an alphabet of URLs": "_-__", "no padding": "aGk", "too much padding": "aGk==", "spaces": "aG k=", "a newline": "aGk=\n", "padding in front": "=aGk",
              "one letter": "a", "bits behind the end": "aGl=", "more behind the padding": "aGk=aGk=", "other letters": "a\u00e9k="}

tried = 0
failures = []
names = itertools.count()


def failed(what):
    failures.append(what)
    print(f"FAILED {what}", flush=True)


def b64(data):
    return base64.b64encode(data).decode()


async def put(line, message):
    """A message as damaged() and harmless() give them."""
    if isinstance(message, bytes):
        await line.frame(message)
    else:
        await line.raw(message)


def variants(kind, members):
    """(what, message, whether it must do the same as the plain one)."""
    for what, message in harmless(kind, members).items():
        yield f"{kind}: {what}", message, True
    for what, message in damaged(kind, members).items():
        yield f"{kind}: {what}", message, False
    yield f"{kind}: binary", text_of(kind, **members).encode(), None
    big = next(iter(members), None)
    if big and isinstance(members[big], str):
        yield f"{kind}: {big} of {OVERSIZED} bytes", text_of(kind, **{**members, big: "x" * OVERSIZED}), False
    if "data_base64" in members:
        for what, text in BAD_BASE64.items():
            yield f"{kind}: base64 with {what}", text_of(kind, **{**members, "data_base64": text}), False


async def sends(line, what, message, same, then):
    """None when then() goes through after the message, or how it closed. A pong alone tells nothing: who answers it may not have read the message yet."""
    try:
        if what.endswith("binary"):
            await line.raw(message)
        else:
            await put(line, message)
        await line.answered()
        await then()
        return None
    except Closed as e:
        if e.code not in CLEAN:
            failed(f"{what}: ended with {e}")
        if same:
            failed(f"{what}: closed {e.code} {e.reason}")
        return e


async def asked(agent, client):
    """What the agent hears; Closed of the agent too when the client is told that it is gone."""
    both = [asyncio.ensure_future(agent.hear()), asyncio.ensure_future(client.ws.wait_closed())]
    done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if both[0] not in done:
        await asyncio.wait(both[:1], timeout=WAIT_S)
    both[1].cancel()
    if not both[0].done():
        both[0].cancel()
        raise AssertionError(f"the client is refused: {[json.loads(m) for m in client.ws.messages]}")
    return both[0].result()


# ---- a relay ----

class Stream:
    """One through the relay: what both sides say."""

    def __init__(self, agent, client, number):
        self.agent, self.client, self.id = agent, client, number

    async def carries(self, data=b"to and fro"):
        await self.client.say("tcp_data", data_base64=b64(data))
        await self.agent_gets(data)
        await self.agent.say("tcp_data", connection_id=self.id, data_base64=b64(data))
        await self.client_gets(data)

    async def agent_gets(self, data):
        inner = await self.agent.hear()
        if inner != {"kind": "tcp_data", "connection_id": self.id, "data_base64": b64(data)}:
            raise AssertionError(f"the agent heard {inner}")

    async def client_gets(self, data):
        inner = await self.client.hear()
        if inner != {"kind": "tcp_data", "data_base64": b64(data)}:
            raise AssertionError(f"the client heard {inner}")


class Relay:
    def __init__(self, url):
        self.url = url

    async def agent(self, name, secret=AGENT_SECRET):
        line = await dial(self.url, AGENTS)
        await line.say("start", last_error=None, name=name, secret=secret)
        await line.answered()  # not before it is in: a client that comes sooner may not find it
        return line

    def start(self, name):
        return {"connection_target": name, "target_ip": "127.0.0.1", "target_port": 22, "protocol": "tcp", "secret": CLIENT_SECRET}

    async def stream(self, agent, name):
        client = await dial(self.url, CLIENTS)
        await client.say("start", **self.start(name))
        return await self.accepted(agent, client)

    async def accepted(self, agent, client):
        while (inner := await asked(agent, client))["kind"] != "initiate_connection":
            pass  # the end of another stream
        await agent.say("initiate_connection_ok", connection_id=inner["connection_id"])
        inner["answer"] = await client.hear()
        if inner["answer"]["kind"] != "start_ok":
            raise AssertionError(f"the client heard {inner['answer']}")
        return Stream(agent, client, inner["connection_id"])

    async def carries(self, agent, name):
        """Whoever is logged in under that name is reached."""
        stream = await self.stream(agent, name)
        await stream.carries()
        await stream.client.close()

    # each of the four situations, with one message

    async def at_login(self, what, message, same):
        agent = await dial(self.url, AGENTS)

        async def then():
            if same is False:
                await asyncio.wait_for(agent.closing(), WAIT_S)
            elif same:
                await self.carries(agent, "pi")
        await sends(agent, what, message, same, then)
        await agent.close()

    async def of_agent(self, what, make, same):
        agent = await self.agent("pi")
        try:
            stream = await self.stream(agent, "pi")
            if await sends(agent, what, make(stream.id), same, lambda: self.carries(agent, "pi")):
                self.is_clean(what + ", the client", await asyncio.wait_for(stream.client.closing(), WAIT_S))
                agent = await self.agent("pi")
                await self.carries(agent, "pi")
            await stream.client.close()
        finally:
            await agent.close()  # its name is the next one's

    def is_clean(self, what, e):
        if e.code not in CLEAN:
            failed(f"{what}: ended with {e}")

    async def at_start(self, what, message, same):
        client = await dial(self.url, CLIENTS)
        if same:
            await put(client, message)
            await (await self.accepted(self.pi, client)).carries()
        else:
            refusing = asyncio.ensure_future(self.refuse())

            async def then():
                self.is_clean(what, await asyncio.wait_for(client.closing(), WAIT_S))
            await sends(client, what, message, same, then)
            refusing.cancel()
            await asyncio.gather(refusing, return_exceptions=True)
        await client.close()

    async def refuse(self):
        """A relay may ask the agent for what nobody can have."""
        while True:
            inner = await self.pi.hear(10 * WAIT_S)
            if inner["kind"] == "initiate_connection":
                await self.pi.say("initiate_connection_error", message="no such thing", connection_id=inner["connection_id"])

    async def of_client(self, what, message, same):
        stream = await self.stream(self.pi, "pi")

        async def then():
            if same:
                await stream.agent_gets(b"hi")
            # What the relay passes over is seen by nobody, what it takes otherwise is judged by the caller.
            if same is not None:
                await stream.carries()
        await sends(stream.client, what, message, same, then)
        await stream.client.close()

    async def tries(self, situation, what, message, same):
        global tried
        tried += 1
        try:
            await asyncio.wait_for(situation(what, message, same), 3 * WAIT_S)
            await asyncio.wait_for(self.control.carries(), WAIT_S)
        except (Closed, AssertionError, asyncio.TimeoutError, OSError) as e:
            failed(f"{what}: {e!r}")

    async def all(self):
        lab = await self.agent("lab")
        self.control = await self.stream(lab, "lab")
        start = {"last_error": None, "name": "pi", "secret": AGENT_SECRET}
        for what, message, same in variants("start", start):
            if what != "start: no last_error" and not what.startswith("start: last_error is"):
                await self.tries(self.at_login, what, message, same)
        for kind in hnr.TO_RELAY_AGENT:
            if kind != "start":
                await self.tries(self.at_login, f"{kind} before login", text_of(kind, connection_id="x", message="x", data_base64="eA=="), False)
        for kind, members in {"initiate_connection_ok": {}, "initiate_connection_error": {"message": "x"}, "tcp_data": {"data_base64": b64(b"hi")},
                              "connection_reset": {"message": "x"}, "keep_alive": None}.items():
            for what, message, same in variants(kind, {**members, "connection_id": "@ID@"} if members is not None else {}):
                await self.tries(self.of_agent, what, lambda number, m=message: with_id(m, number), same)
        for what, kinds in {"ok for nobody": ["initiate_connection_ok"], "data for nobody": ["tcp_data"], "a reset of nobody": ["connection_reset"],
                            "an error of nobody": ["initiate_connection_error"]}.items():
            await self.tries(self.of_agent, what, lambda number, k=kinds[0]: text_of(k, connection_id="nobody", message="x", data_base64="eA=="), True)
        for kind in hnr.TO_RELAY_AGENT:
            await self.tries(self.of_agent, f"{kind} once more or late", lambda number, k=kind: text_of(k, connection_id=number, message="x", data_base64="eA==", **start), None)
        self.pi = await self.agent("pi")
        for what, message, same in variants("start", self.start("pi")):
            await self.tries(self.at_start, "client's " + what, message, same)
        for port in 0, -1, 65536, 1 << 31, 1 << 63, 1 << 64:
            await self.tries(self.at_start, f"client's start: port {port}", text_of("start", **{**self.start("pi"), "target_port": port}), False)
        await self.tries(self.at_start, "client's first tcp_data", text_of("tcp_data", data_base64="eA=="), False)
        for what, message, same in variants("tcp_data", {"data_base64": b64(b"hi")}):
            await self.tries(self.of_client, "client's " + what, message, same)
        for what, message in {"a second start": text_of("start", **self.start("pi")), "a start_ok": text_of("start_ok"), "an error": text_of("error", message="x"),
                              "keep_alive": text_of("keep_alive"), "data with an id": text_of("tcp_data", connection_id="x", data_base64="aGk=")}.items():
            await self.tries(self.of_client, f"client's {what}", message, None)
        for path in AGENTS, CLIENTS:
            for wrong in path + "/", path + "x", path.upper():
                if (status := await dial_status(self.url, wrong)) not in (403, 404):
                    failed(f"{wrong}: {status}")


def with_id(message, number):
    if isinstance(message, bytes):
        return message.replace(b"@ID@", number.encode())
    if isinstance(message, list):
        return [m.replace("@ID@", number) for m in message]
    return message.replace("@ID@", number)


# ---- an agent, a client ----

class Dialled:
    """A relay whose peers we start, one program for each message."""

    def __init__(self, command):
        self.command = command
        self.arrived = asyncio.Queue()

    async def serve(self, ws, path):
        self.arrived.put_nowait(Line(ws))
        await ws.wait_closed()

    async def __aenter__(self):
        self.server = await serve(self.serve, "127.0.0.1", 0, max_size=None, ping_interval=None, compression=None, close_timeout=5)
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *args):
        self.server.close()
        await self.server.wait_closed()

    async def begin(self, path):
        """The program and its WebSocket, its start read."""
        self.name = f"n{os.getpid()}-{next(names)}"
        words = {"{url}": self.url + path, "{name}": self.name}
        self.program = await asyncio.create_subprocess_exec(*[words.get(a, a) for a in self.command], stdin=asyncio.subprocess.PIPE,
                                                            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        self.reading = asyncio.ensure_future(self.program.stderr.read())
        return await self.comes()

    async def comes(self):
        """This program's next WebSocket. Others come, too: one of the program before, or of another test whose relay had our port and has gone."""
        while True:
            line = await asyncio.wait_for(self.arrived.get(), WAIT_S)
            try:
                start = await line.hear()
                if self.name in (start.get("name"), start.get("connection_target")):
                    return line
            except Closed:
                pass
            await line.close()

    async def end(self, what, allowed):
        """The program's exit status, and what it wrote to standard output."""
        try:
            out = await asyncio.wait_for(self.program.stdout.read(), WAIT_S)
            code = await asyncio.wait_for(self.program.wait(), WAIT_S)
        except asyncio.TimeoutError:
            failed(f"{what}: the program stays")
            self.program.kill()
            out, code = b"", await self.program.wait()
        said = (await self.reading).decode(errors="replace")
        if code not in allowed:
            failed(f"{what}: exit status {code}: {said[-500:]}")
        return code, out, said


class Agent(Dialled):
    async def echo(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        writer.close()

    async def initiate(self, line, number):
        await line.say("initiate_connection", target_ip="127.0.0.1", target_port=self.port, protocol="tcp", connection_id=number)
        if (inner := await line.hear()) != {"kind": "initiate_connection_ok", "connection_id": number}:
            raise AssertionError(f"the agent says {inner}")

    async def carries(self, line, number, data=b"to and fro"):
        await line.say("tcp_data", connection_id=number, data_base64=b64(data))
        await self.gives(line, number, data)

    async def gives(self, line, number, data):
        if (inner := await line.hear()) != {"kind": "tcp_data", "connection_id": number, "data_base64": b64(data)}:
            raise AssertionError(f"the agent says {inner}")

    async def one(self, what, message, same):
        global tried
        tried += 1
        line = await self.begin(AGENTS)
        try:
            await self.initiate(line, "one")
            await self.carries(line, "one")
            if await sends(line, what, message, same, lambda: self.goes_on(line, what, same)) is not None:
                line = await self.comes()
                await self.goes_on(line, what, False)
        except (Closed, AssertionError, asyncio.TimeoutError, OSError) as e:
            failed(f"{what}: {e!r}")
        if self.program.returncode is None:
            self.program.send_signal(signal.SIGTERM)
        await line.close()
        await self.end(what, {0, -signal.SIGTERM, 143})
        await asyncio.sleep(0)

    async def goes_on(self, line, what, same):
        """The message has done what it says, if it must; another stream works."""
        if same and "tcp_data" in what:
            await self.gives(line, "one", b"hi")
        await line.say("initiate_connection", target_ip="127.0.0.1", target_port=self.port, protocol="tcp", connection_id="two")
        await line.say("tcp_data", connection_id="two", data_base64=b64(b"to and fro"))
        heard = []
        while not heard or heard[-1] != {"kind": "tcp_data", "connection_id": "two", "data_base64": b64(b"to and fro")}:
            heard.append(await line.hear())
        if same and "initiate_connection" in what and {"kind": "initiate_connection_ok", "connection_id": "new"} not in heard:
            failed(f"{what}: is answered by {heard}")

    async def ready(self):
        target = await asyncio.start_server(self.echo, "127.0.0.1", 0)
        self.port = target.sockets[0].getsockname()[1]

    def cases(self):
        """The arguments of one()."""
        of_one = {"connection_id": "one"}
        for kind, members in {"initiate_connection": {"target_ip": "127.0.0.1", "target_port": self.port, "protocol": "tcp", "connection_id": "new"},
                              "tcp_data": {"data_base64": b64(b"hi"), **of_one}, "connection_close": {"message": "x", **of_one}, "keep_alive": {}}.items():
            for what, message, same in variants(kind, members):
                yield what, message, same
        for port in 0, -1, 65536, 1 << 31, 1 << 63, 1 << 64:
            yield f"port {port}", text_of("initiate_connection", target_ip="127.0.0.1", target_port=port, protocol="tcp", connection_id="new"), None
        for what, message in {"data for nobody": text_of("tcp_data", connection_id="nobody", data_base64="eA=="),
                              "a close of nobody": text_of("connection_close", connection_id="nobody", message="x")}.items():
            yield what, message, True
        for what, message in {"an id once more": text_of("initiate_connection", target_ip="127.0.0.1", target_port=self.port, protocol="tcp", connection_id="one"),
                              "a start": text_of("start", last_error=None, name="pi", secret="x"), "a start_ok": text_of("start_ok"),
                              "an error": text_of("error", message="x")}.items():
            yield what, message, None


class Client(Dialled):
    async def goes_on(self, line, messages):
        """Once it has begun, it sends what it reads."""
        if messages[0] == text_of("start_ok"):
            self.program.stdin.write(b"to and fro")
            inner = await line.hear()
            if inner != {"kind": "tcp_data", "data_base64": b64(b"to and fro")}:
                raise AssertionError(f"the client says {inner}")
    async def one(self, what, messages, same, wanted=None):
        """The messages, the last of which is the one that is tried, then a good end."""
        global tried
        tried += 1
        line = await self.begin(CLIENTS)
        ended = None
        try:
            for message in messages[:-1]:
                await line.raw(message)
            ended = await sends(line, what, messages[-1], same, lambda: self.goes_on(line, messages))
        except (Closed, AssertionError, asyncio.TimeoutError) as e:
            failed(f"{what}: {e!r}")
        await line.close(1000)
        code, out, said = await self.end(what, {0, 1, 3})
        if wanted is not None and out != wanted:
            failed(f"{what}: it wrote {out!r}")
        if self.strict and not same and code == 0 and ended is not None:
            failed(f"{what}: it ended the session and says all is well: {said[-300:]}")

    async def ready(self):
        """It needs nothing more."""

    def cases(self):
        begun, hi = text_of("start_ok"), text_of("tcp_data", data_base64=b64(b"hi"))
        for what, message, same in variants("start_ok", {}):
            yield what, [message], same, b""
        for what, message, same in variants("error", {"message": "x"}):
            yield what, [message], None if same else same, b""
        for what, message, same in variants("tcp_data", {"data_base64": b64(b"hi")}):
            yield what, [begun, message], same, b"hi" if same else None
        for what, messages, wanted in (("data first", [hi], b""), ("start_ok twice", [begun, begun], None), ("a late error", [begun, hi, text_of("error", message="x")], b"hi"),
                                       ("keep_alive", [begun, text_of("keep_alive")], None), ("a start", [text_of("start", **{"secret": "x"})], b"")):
            yield what, messages, None, wanted


async def work(role, command, numbers):
    """Takes from all cases what nobody has taken yet, with programs and a relay of its own."""
    async with (Agent if role == "agent" else Client)(command) as dialled:
        dialled.strict = role == "client"
        await dialled.ready()
        cases = list(dialled.cases())
        for n in numbers:
            if n >= len(cases):
                break
            await dialled.one(*cases[n])


async def run():
    role, *rest = sys.argv[1:]
    if role == "relay":
        await Relay(rest[0]).all()
    else:
        numbers = itertools.count()
        await asyncio.gather(*(work(role, rest, numbers) for _ in range(AT_ONCE)))


asyncio.run(run())
print(f"{tried} tried, {len(failures)} failed", flush=True)
os._exit(1 if failures or not tried else 0)
