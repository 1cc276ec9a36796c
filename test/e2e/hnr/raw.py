# SPDX-License-Identifier: ISC
"""One WebSocket of http-network-relay without any opinion: what a test wants to send is sent, what comes is told. And every damaged form of a message."""
import asyncio
import json

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.frames import Opcode
from websockets.legacy.client import connect

WAIT_S = 30


class Closed(Exception):
    """code: of the close frame, None without one."""

    def __init__(self, e):
        super().__init__(str(e))
        self.code = e.rcvd.code if e.rcvd else None
        self.reason = e.rcvd.reason if e.rcvd else ""


def text_of(kind, **members):
    return json.dumps({"inner": {"kind": kind, **members}}, separators=(",", ":"))


class Line:
    """ws: of the websockets library, either end."""

    def __init__(self, ws):
        self.ws = ws

    async def raw(self, text):
        """A str is a text message, bytes a binary one, a list of either its fragments."""
        try:
            await self.ws.send(text)
        except ConnectionClosed as e:
            raise Closed(e) from None

    async def say(self, kind, **members):
        await self.raw(text_of(kind, **members))

    async def frame(self, body):
        """A text message whose bytes may be no UTF-8."""
        await self.ws.write_frame(True, Opcode.TEXT, body)

    async def hear(self, wait_s=WAIT_S):
        """The next inner object; keep_alive says nothing and is left out."""
        try:
            while (inner := json.loads(await asyncio.wait_for(self.ws.recv(), wait_s))["inner"])["kind"] == "keep_alive":
                pass
            return inner
        except ConnectionClosed as e:
            raise Closed(e) from None

    async def answered(self):
        """The other side reads and answers: its pong comes behind what it had to say."""
        try:
            await asyncio.wait_for(await self.ws.ping(), WAIT_S)
        except ConnectionClosed as e:
            raise Closed(e) from None

    async def closing(self):
        """How it ends; fails when it does not."""
        try:
            while True:
                await self.hear()
        except Closed as e:
            return e

    async def close(self, code=1000):
        await self.ws.close(code)


async def dial(url, path):
    return Line(await connect(url + path, max_size=None, ping_interval=None, compression=None, close_timeout=5))


async def dial_status(url, path):
    """The HTTP status that refuses it, 101 when nothing does."""
    try:
        await (await dial(url, path)).close()
        return 101
    except InvalidHandshake as e:
        return e.status_code


# ---- damage ----

WRONG = {"a number": 7, "a fraction": 1.5, "text": "x", "null": None, "true": True, "a list": ["x"], "an object": {"x": 1}}


def right_types(kind, name, value):
    """What is no damage at all: a type that the table allows."""
    if kind == "start" and name == "last_error":
        return value is None or isinstance(value, str)
    if name == "target_port":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str)


def harmless(kind, members):
    """Other spellings of the same message, which must do the same: {what: text or fragments}."""
    plain = text_of(kind, **members)
    swapped = json.dumps({"x": [1], "inner": {**dict(reversed(list(members.items()))), "y": {"z": None}, "kind": kind}}, indent=1)
    escaped = '{"\\u0069nner":{"kind":"' + "".join(f"\\u{ord(c):04x}" for c in kind) + '"' + plain[plain.index('"kind":') + 9 + len(kind):]
    return {"further members, other order, spaces": swapped, "escapes": escaped, "fragments": [plain[:9], plain[9:10], "", plain[10:]],
            "spaces around it": f" \r\n\t{plain}\n "}


def damaged(kind, members):
    """Every message that is not in the tables any more, by what is wrong with it: text, or bytes of a text message that is no UTF-8."""
    plain = text_of(kind, **members)
    found = {}
    for name in members:
        found[f"no {name}"] = text_of(kind, **{k: v for k, v in members.items() if k != name})
        for what, value in WRONG.items():
            if not right_types(kind, name, value):
                found[f"{name} is {what}"] = text_of(kind, **{**members, name: value})
        found[f"{name} twice"] = plain[:-2] + f',"{name}":{json.dumps(members[name])}}}}}'
        if isinstance(members[name], str):
            found[f"{name} with a broken escape"] = text_of(kind, **{**members, name: "@@"}).replace("@@", "\\ud800")
            found[f"{name} with U+0000"] = text_of(kind, **{**members, name: "a\0b"})
    for what, value in WRONG.items():
        found[f"inner is {what}"] = json.dumps({"inner": value})
        found[f"kind is {what}"] = json.dumps({"inner": {**members, "kind": value}})
    found.update({
        "no inner": json.dumps({"kind": kind, **members}), "no kind": json.dumps({"inner": members}), "inner twice": plain[:-1] + "," + plain[1:],
        "an empty message": "", "no JSON": "hello", "a list": f"[{plain}]", "half of it": plain[:len(plain) // 2], "more behind it": plain + "x",
        "two in one": plain + plain, "single quotes": plain.replace('"', "'"), "a depth of 100": plain[:-1] + ',"x":' + "[" * 100 + "]" * 100 + "}",
        "a depth of 100000": "[" * 100000, "a kind in capitals": text_of(kind.upper(), **members), "a kind that nobody has": text_of("successfully_ssh_connected", **members),
        "no UTF-8": plain.encode()[:-2] + b',"x":"\xff\xfe"}}', "half a character": plain.encode()[:-2] + b',"x":"\xc3"}}',
    })
    return found
