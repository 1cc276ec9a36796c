# SPDX-License-Identifier: ISC
"""A login by key from PROTOCOL.md 2.1 alone, by OpenSSL: TLS on a carrier that is a WebSocket of python3-websockets.

TUNNEL_PY_KEY and TUNNEL_PY_CERT are PEM files of our own key, TUNNEL_PY_RELAY is the relay's public key.
"""
import base64
import os
import ssl

import websockets


def point(pub):
    """The 33 bytes of a public key."""
    word = pub.removeprefix("tunnel-pub-")
    assert word != pub and len(word) == 44
    return base64.urlsafe_b64decode(word)


class Keyed:
    """What stands on the WebSocket once both sides have proved their keys; looks like one."""

    def __init__(self, ws, violation):
        self.ws, self.violation, self.ended = ws, violation, False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["tunnel-login/1"])
        context.load_cert_chain(os.environ["TUNNEL_PY_CERT"], os.environ["TUNNEL_PY_KEY"])
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)

    async def flush(self):
        data = self.outgoing.read()
        if data:
            await self.ws.send(data)

    async def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.flush()
                self.incoming.write(await self.ws.recv())
        # The relay's certificate holds the point uncompressed: 4, x, y.
        if b"\x04" + point(os.environ["TUNNEL_PY_RELAY"])[1:] not in self.tls.getpeercert(binary_form=True):
            self.violation("2.1", "the relay shows another key")
        if (self.tls.version(), self.tls.selected_alpn_protocol()) != ("TLSv1.3", "tunnel-login/1"):
            self.violation("2.1", f"{self.tls.version()} {self.tls.selected_alpn_protocol()}")
        await self.flush()
        return self

    async def send(self, data):
        self.tls.write(data if isinstance(data, bytes) else b"".join(data))
        await self.flush()

    def read(self):
        """All that can be read now."""
        out = b""
        try:
            while not self.ended:
                data = self.tls.read(65536)
                self.ended = data == b""
                out += data
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return out

    async def __aiter__(self):
        data = self.read()
        if data:
            yield data
        async for message in self.ws:
            self.incoming.write(message)
            data = self.read()
            await self.flush()
            if data:
                yield data
        if not self.ended:
            self.violation("2.1", "the carrier ended without close_notify")

    async def close(self):
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass  # it waits for the other side's
        try:
            await self.flush()
        except websockets.ConnectionClosed:
            pass  # the other side has ended first
        await self.ws.close()

    @property
    def close_code(self):
        return self.ws.close_code

    @property
    def close_reason(self):
        return self.ws.close_reason
