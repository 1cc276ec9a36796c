# SPDX-License-Identifier: ISC
"""What the three scripted peers of http-network-relay share: the tables of its messages, a judge of what the other side sends, and a record.

The peers are written from the description of the protocol alone; nothing of the reference's code is in them. They take its command lines and repeat
its faults, and beside that they judge: what an unmodified program must never be sent is printed as "VIOLATION SECTION: ..." on stderr.

HNR_RECORD=FILE   every message, one a line: "<" or ">" and the text
HNR_CHUNK=N       raw bytes in a tcp_data message, 1024 in the reference
"""
import base64
import json
import os
import re
import sys

from websockets.exceptions import ConnectionClosed

CHUNK = int(os.environ.get("HNR_CHUNK", "1024"))
ANY = object()  # a string or null

# Section 2: who says what, with the members that must be there.
TO_RELAY_AGENT = {
    "start": {"last_error": ANY, "name": str, "secret": str},
    "initiate_connection_ok": {"connection_id": str},
    "initiate_connection_error": {"message": str, "connection_id": str},
    "tcp_data": {"connection_id": str, "data_base64": str},
    "connection_reset": {"message": str, "connection_id": str},
    "keep_alive": {},
}
TO_AGENT = {
    "initiate_connection": {"target_ip": str, "target_port": int, "protocol": str, "connection_id": str},
    "tcp_data": {"connection_id": str, "data_base64": str},
    "connection_close": {"message": str, "connection_id": str},
    "keep_alive": {},
}
TO_RELAY_CLIENT = {
    "start": {"connection_target": str, "target_ip": str, "target_port": int, "protocol": str, "secret": str},
    "tcp_data": {"data_base64": str},
}
TO_CLIENT = {
    "start_ok": {},
    "error": {"message": str},
    "tcp_data": {"data_base64": str},
}
OUR_DATA_MAX = 49152


class Invalid(Exception):
    """A message that the receiver's tables do not hold; its text is what an agent reports as last_error."""


def log(text):
    print(text, file=sys.stderr, flush=True)


def violation(section, text):
    log(f"VIOLATION {section}: {text}")


def record(way, text):
    if path := os.environ.get("HNR_RECORD"):
        with open(path, "a") as f:
            f.write(f"{way} {text}\n")


def fits(value, kind):
    if kind is ANY:
        return value is None or isinstance(value, str)
    return type(value) is kind


def parse(table, raw):
    """The inner object, as the reference reads it: text or binary, further members are ignored, and anything else raises Invalid."""
    try:
        found = json.loads(raw)
        inner = found["inner"]
        kind = inner["kind"]
    except (ValueError, TypeError, KeyError) as e:
        raise Invalid(f"1 validation error: {e!r}") from None
    if kind not in table:
        tags = ", ".join(f"'{k}'" for k in table)
        raise Invalid(f"1 validation error: inner\n  Input tag '{kind}' found using 'kind' does not match any of the expected tags: {tags}")
    for name, wanted in table[kind].items():
        if name not in inner or not fits(inner[name], wanted):
            raise Invalid(f"1 validation error: inner.{kind}.{name}\n  Field required or of another type")
    return inner


def judge(table, raw, size_max):
    """What our programs promise about what they send, beyond what the reference needs."""
    if not isinstance(raw, str):
        violation("1", "a binary message")
        return
    if len(raw.encode()) >= size_max:
        violation("1", f"a message of {len(raw.encode())} bytes")
    try:
        found = json.loads(raw)
        kind, members = found["inner"]["kind"], table[found["inner"]["kind"]]
    except (ValueError, TypeError, KeyError):
        violation("2", f"not in the tables: {raw[:300]}")
        return
    if set(found) != {"inner"} or set(found["inner"]) != {"kind", *members} and not (kind == "start" and "name" in members):
        violation("2", f"other members than those of the table: {raw[:300]}")
    if re.search(r"\s", re.sub(r'"(?:\\.|[^"\\])*"', '""', raw)):
        violation("2", f"needless spaces: {raw[:300]}")
    if list(found["inner"])[0] != "kind":
        violation("2", f"kind is not first: {raw[:300]}")
    if kind == "tcp_data":
        try:
            data = base64.b64decode(found["inner"]["data_base64"], validate=True)
            if not data:
                violation("2", "tcp_data without data")
            if len(data) > OUR_DATA_MAX:
                violation("2", f"tcp_data of {len(data)} bytes")
        except ValueError:
            violation("2", f"base64 that is not strict: {raw[:300]}")


def data_of(inner):
    """Python's decoder is lenient: what is not in the alphabet is left out."""
    return base64.b64decode(inner["data_base64"])


def base64_of(data):
    return base64.b64encode(data).decode()


class Peer:
    """A WebSocket with messages: known is what we take; judged is the table and size_max the size that the other side must keep to."""

    def __init__(self, ws, known, judged=None, size_max=1 << 20):
        self.ws, self.known, self.judged, self.size_max = ws, known, judged or known, size_max

    async def say(self, kind, **members):
        text = json.dumps({"inner": {"kind": kind, **members}}, separators=(",", ":"))
        record(">", text)
        await self.ws.send(text)

    async def hear(self):
        raw = await self.ws.recv()
        record("<", raw if isinstance(raw, str) else repr(raw))
        judge(self.judged, raw, self.size_max)
        return self.parsed(raw)

    def parsed(self, raw):
        return parse(self.known, raw)


def ended(e):
    """How a WebSocket ended, for logs that tests read."""
    assert isinstance(e, ConnectionClosed)
    return f"closed: code {e.rcvd.code if e.rcvd else 'none'}, reason {(e.rcvd.reason if e.rcvd else '')!r}"


def write_file(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)
