# SPDX-License-Identifier: ISC
"""What curl cannot say: raw HTTP from a visitor, for the tests of the ingress."""
import socket
import ssl


class Cut(Exception):
    """The connection ended before the answer was whole, by a reset or without its last byte."""


class Visitor:
    def __init__(self, port, tls=False, address="127.0.0.1"):
        self.s = socket.create_connection(("127.0.0.1", port), 30, source_address=(address, 0))
        if tls:
            c = ssl.create_default_context()
            c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
            self.s = c.wrap_socket(self.s, server_hostname=tls)
        self.b = b""

    def send(self, *parts):
        self.s.sendall(b"".join(p.encode() if isinstance(p, str) else p for p in parts))

    def more(self):
        try:
            got = self.s.recv(65536)
        except (ConnectionResetError, ssl.SSLError) as e:
            raise Cut(f"reset: {e}") from e
        if not got:
            raise Cut("end")
        self.b += got

    def line(self):
        while b"\r\n" not in self.b:
            self.more()
        line, self.b = self.b.split(b"\r\n", 1)
        return line.decode("latin-1")

    def take(self, n):
        while len(self.b) < n:
            self.more()
        got, self.b = self.b[:n], self.b[n:]
        return got

    def head(self):
        """Status and fields (names in lower case) of the next head."""
        first, fields = self.line(), {}
        while (line := self.line()) != "":
            k, v = line.split(":", 1)
            fields[k.lower()] = v.strip()
        return int(first.split(" ")[1]), fields

    def body(self, status, fields, method="GET"):
        """The whole body; its trailers stand in self.trailers."""
        self.trailers = []
        if method == "HEAD" or status < 200 or status in (204, 304):
            return b""
        if fields.get("transfer-encoding") == "chunked":
            data = b""
            while (n := int(self.line(), 16)) > 0:
                data += self.take(n)
                assert self.line() == ""
            while (line := self.line()) != "":
                self.trailers.append(line)
            return data
        if "content-length" in fields:
            return self.take(int(fields["content-length"]))
        data = b""
        while True:
            try:
                self.more()
            except Cut as e:
                if str(e) != "end":
                    raise
                data, self.b = self.b, b""
                return data

    def answer(self, method="GET"):
        status, fields = self.head()
        return status, fields, self.body(status, fields, method)

    def get(self, host, target, *more, method="GET"):
        self.send(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n", *more, "\r\n")
        return self.answer(method)

    def ends(self):
        """How the connection ends: "end" or "reset"; fails if bytes come."""
        try:
            got = self.s.recv(1)
        except (ConnectionResetError, ssl.SSLError):
            return "reset"
        assert got == b"", got
        return "end"

    def close(self):
        self.s.close()


def expect(what, expected, got):
    if expected != got:
        raise SystemExit(f"FAILED: {what}: expected {expected!r}, got {got!r}")
