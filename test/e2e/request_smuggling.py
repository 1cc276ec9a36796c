# SPDX-License-Identifier: ISC
"""Malformed and ambiguous HTTP through the ingress: request_smuggling.py PORTS_FILE GO_FILE

Writes {"plain": PORT, "hostile": PORT} of its two services to PORTS_FILE, and waits for the visitors' port in GO_FILE.  The
first is to be served at pi.t.test, the second at lab.t.test.

Every case is raw bytes, with what RFC 9110 and 9112 make of them, and is sent whole, in two pieces at three places, and byte by
byte, each from an address of its own.  After each one an honest request from another address gets its own answer.

The plain service records every byte of every connection, and reads it by a parser that knows the one form in which a proxy
writes requests: so what it found in its records is what any other program would.
"""
import asyncio
import json
import os
import sys

AT_ONCE = 60
DEADLINE_S = 30

# ---- requests: name, bytes, answers, how the connection goes on, what the service got ----
#
# "~" is the name of the run, in the target of each request that is to be served; what is hidden asks for /smuggled.
# Answers are statuses.  "keep": another request on the connection gets its answer; "close": it ends in good order.
# What the service got: methods and targets of whole requests; a last "..." allows one that was never finished.

HOST = "Host: pi.t.test\r\n"
GET = "GET /~ HTTP/1.1\r\n" + HOST
GET_2, GET_3 = (GET.replace("~", f"~-{n}") + "\r\n" for n in (2, 3))
POST = "POST /~ HTTP/1.1\r\n" + HOST
HIDDEN = "GET /smuggled HTTP/1.1\r\n" + HOST + "\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"
BAD, KEPT, NOTHING, BROKEN = ([400], "close"), ([200], "keep"), [], ["..."]
GOT, POSTED = ["GET /~"], ["POST /~"]


def frames():
    """Where does the request end?  RFC 9112 6."""
    length_and_coding = "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"
    yield "both, length first", POST + length_and_coding + HIDDEN, *BAD, NOTHING
    yield ("both, coding first", POST + "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG" + HIDDEN, *BAD,
           NOTHING)
    for value in ("+5", "-0", "-5", "0x5", "5 5", "5\t5", "", "5, 5", "5,6", "5;", "5.0", "1e1", "5,", "\x0b5",
                  "18446744073709551621",
                  "9223372036854775808", "99999999999999999999999999", "\xc2\xb2", "\"5\""):
        yield f"Content-Length: {value!r}", POST + f"Content-Length: {value}\r\n\r\nhello" + HIDDEN, *BAD, NOTHING
    for second in ("5", "6", "0"):
        yield (f"two lengths, 5 and {second}", POST + f"Content-Length: 5\r\nContent-Length: {second}\r\n\r\nhello" + HIDDEN,
               *BAD, NOTHING)
    for value in ("xchunked", "chunkedx", "chunked, identity", "identity", "identity, chunked", "gzip, chunked",
                  "chunked, chunked",
                  "\"chunked\"", "chunked;a=b", "", "chunked,", ",chunked", "\x0bchunked", "chunked\x00", "cow",
                  "chunk\xc2\xa0ed"):
        yield (f"Transfer-Encoding: {value!r}", POST + f"Transfer-Encoding: {value}\r\n\r\n0\r\n\r\n" + HIDDEN, *BAD, NOTHING)
    for fields in ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                   "Transfer-Encoding: chunked\r\nTransfer-encoding: identity",
                   "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Transfer-Encoding : chunked",
                   "Transfer-Encoding\t: chunked", "Transfer-Encoding:\r\n chunked", " Transfer-Encoding: chunked",
                   "X: y\r\n\tTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked",
                   "X: y\r\n\rTransfer-Encoding: chunked", "X: y\x00\r\nTransfer-Encoding: chunked",
                   "\x00Transfer-Encoding: chunked",
                   "Transfer-Encoding\xc2\xa0: chunked", "Transfer Encoding: chunked", "Content-Length : 5", " Content-Length: 5",
                   "Content-Length: 5\r\n 0", "Content-Length\x0b: 5"):
        yield f"fields {fields!r}", POST + fields + "\r\n\r\n0\r\n\r\n" + HIDDEN, *BAD, NOTHING
    yield ("chunked in HTTP/1.0", "POST /~ HTTP/1.0\r\n" + HOST + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN, *BAD,
           NOTHING)
    # What CGI takes for framing does not reach the service, and is none here.
    yield ("Content_Length", GET + "Content_Length: 999\r\n\r\n" + GET_2, [200, 200], "keep",
           ["GET /~", "GET /~-2"])
    yield "Transfer_Encoding", GET + "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN, [200, 400], "close", GOT
    yield "coding in capitals", POST + "Transfer-Encoding:\tCHUNKED \r\n\r\n5\r\nhello\r\n0\r\n\r\n", *KEPT, POSTED
    yield "length with zeros", POST + "Content-Length: 0005\r\n\r\nhello", *KEPT, POSTED
    yield "a request as body", POST + f"Content-Length: {len(HIDDEN)}\r\n\r\n" + HIDDEN, *KEPT, POSTED
    yield "a request as body of GET", GET + f"Content-Length: {len(HIDDEN)}\r\n\r\n" + HIDDEN, *KEPT, GOT
    yield "a request as chunk", CHUNKED + f"{len(HIDDEN):x}\r\n{HIDDEN}\r\n0\r\n\r\n", *KEPT, POSTED
    yield ("an empty line behind a body", POST + "Content-Length: 5\r\n\r\nhello\r\n" + GET_2, [200, 200], "keep", ["POST /~",
                                                                                                                    "GET /~-2"])
    yield "more than the length says", POST + "Content-Length: 5\r\n\r\nhelloX" + HIDDEN, [200, 501], "close", POSTED
    yield "a body that breaks off", POST + "Content-Length: 500\r\n\r\nhello" + HIDDEN, [400], "half", BROKEN
    yield "chunks that break off", CHUNKED + "5\r\nhello\r\n", [400], "half", BROKEN
    yield "a whole request, and no more", POST + "Content-Length: 5\r\n\r\nhello", [200], "half", POSTED
    yield "a head that breaks off", GET + "X: y\r\n", [], "half", NOTHING


def chunks():
    """RFC 9112 7.1"""
    for size in ("0x5", "+5", "-5", " 5", "5 ", "\t5", "", "x", "5,", "5_0", "5;", "5;;a", "5;a=", "5;a=\"b", "5 a",
                 "5;a=\"\n\"", "5;a\rb",
                 "5;a\x00", "5;a b", "5;\xc3\xa4", "5\n5", "5\r5", "ffffffffffffffff", "8000000000000005", "10000000000000005",
                 "000000000000000005", "\xef\xbc\x95", "5;" + "a" * 5000):
        yield f"chunk of {size[:20]!r}", CHUNKED + size + "\r\nhello\r\n0\r\n\r\n" + HIDDEN, *BAD, BROKEN
    for body in ("5\r\nhelloXX0\r\n\r\n", "5\r\nhello\n\n0\r\n\r\n", "5\r\nhello\r\r0\r\n\r\n",
                 "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "5\r\nhello0\r\n\r\n",
                 "5\r\nhelloX\r\n0\r\n\r\n",
                 "6\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n\r\n0\r\n\r\n", "5\r\nhello\r\n0\n\n", "5\r\nhello\r\n0\r\n\n",
                 "5\r\nhello\r\n0\r\rX",
                 "5\r\nhello\r\n0 \r\n\r\n", "5\r\nhello\r\n0\r\nX\r\n\r\n", "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
                 "5\r\nhello\r\n0\r\nX: y\n\r\n", "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n", "5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
                 "5\r\nhello\r\n0\r\n: y\r\n\r\n", "5\r\nhello\r\n0\r\nX: " + "y" * 17000 + "\r\n\r\n",
                 "5\r\nhello\r\n0\r\n" + "X: y\r\n" * 101 + "\r\n", "1;" + "a" * 3000 + "\r\nx\r\n" * 12):
        yield f"chunks {body[:30]!r}", CHUNKED + body + HIDDEN, *BAD, BROKEN
    yield "extensions", CHUNKED + "5;a ; b=\"c\\\"d\"\r\nhello\r\n00;e=f\r\n\r\n", *KEPT, POSTED
    yield "capital digits", CHUNKED + "0A\r\n0123456789\r\n0\r\n\r\n", *KEPT, POSTED
    yield ("forbidden trailers", CHUNKED + "5\r\nhello\r\n0\r\nContent-Length: 500\r\nTransfer-Encoding: chunked\r\nHost: x\r\n"
           "Authorization: x\r\nX_Forwarded_For: x\r\nX-Ok: y\r\n\r\n" + GET_2, [200, 200], "keep",
           ["POST /~", "GET /~-2"])


def lines():
    """The request line.  RFC 9112 3"""
    for line in ("GET  /~ HTTP/1.1", "GET /~  HTTP/1.1", "GET\t/~ HTTP/1.1", "GET /~\tHTTP/1.1", " GET /~ HTTP/1.1",
                 "GET /~ HTTP/1.1 ",
                 "GET /~ http/1.1", "GET /~ HTTP/1.10", "GET /~ HTTP/01.1", "GET /~ HTTP/1", "GET /~ HTTP/1.1x",
                 "GET /~ RTSP/1.0",
                 "GET /~ ICE/1.0", "G@T / HTTP/1.1", "GET: /~ HTTP/1.1", "GET /~\x00 HTTP/1.1", "GET /~\x80 HTTP/1.1",
                 "GET /~ /b HTTP/1.1",
                 "GET /~\rX HTTP/1.1", "GET /~\n HTTP/1.1", "GET /~#f HTTP/1.1", "GET * HTTP/1.1", "GET ~ HTTP/1.1",
                 "GET /~\x7f HTTP/1.1", "\x16\x03\x01\x02", "\nGET /~ HTTP/1.1", "\rGET /~ HTTP/1.1"):
        yield f"line {line!r}", line + "\r\n" + HOST + "\r\n" + HIDDEN, *BAD, NOTHING
    for line in ("GET /~", "GET /~ HTTP/2.0", "GET /~ HTTP/1.2", "GET /~ HTTP/0.9", "GET /~ HTTP/3.0", "PRI * HTTP/2.0"):
        yield f"line {line!r}", line + "\r\n" + HOST + "\r\n" + HIDDEN, [505], "close", NOTHING
    for line in ("BREW /~ HTTP/1.1", "get /~ HTTP/1.1", "GETX /~ HTTP/1.1", "DESCRIBE /~ HTTP/1.1",
                 "CONNECT pi.t.test:80 HTTP/1.1"):
        yield f"line {line!r}", line + "\r\n" + HOST + "\r\n" + HIDDEN, [501], "close", NOTHING
    yield "empty lines first", "\r\n\r\n" + GET + "\r\n", *KEPT, GOT
    yield "OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + HOST + "X-Run: ~\r\n\r\n", *KEPT, ["OPTIONS *"]


def hosts():
    """Whom is it for?  RFC 9112 3.2"""
    for host in ("pi.t.test, other", "pi.t.test,pi.t.test", "user@pi.t.test", "pi.t.test/", "pi.t.test other", "pi.t.test:x",
                 "pi.t.test:65536",
                 "pi.t.test:-1", "pi.t.test:80:80", "pi..t.test", ".pi.t.test", "pi.t.test..", "p\xc3\xac.t.test", "p%69.t.test",
                 "", "pi.t.test\\",
                 "pi.t.test#", "pi.t.test?", "-pi.t.test", "[::1", "[pi.t.test]", "*.t.test"):
        yield f"Host: {host!r}", "GET /~ HTTP/1.1\r\nHost: " + host + "\r\n\r\n" + HIDDEN, *BAD, NOTHING
    for host in ("127.0.0.1", "0x7f.1", "127.1", "2130706433", "[::1]", "no_such.t.test", "t.test.", "pi.t.test.other"):
        yield f"Host: {host!r}", "GET /~ HTTP/1.1\r\nHost: " + host + "\r\n\r\n", [404], "keep", NOTHING
    for host in ("PI.T.TEST", "pi.t.test.", "pi.t.test:8080", "pi.t.test.:80", "pi.t.test:"):
        yield f"Host: {host!r}", "GET /~ HTTP/1.1\r\nHost: " + host + "\r\n\r\n", *KEPT, GOT
    for fields in ("X: y", HOST + HOST[:-2], HOST + "Host: lab.t.test", "Host : pi.t.test", "Host: pi.t\r\n .test", " " +
                   HOST[:-2],
                   HOST + "host: pi.t.test"):
        yield f"fields {fields!r}", "GET /~ HTTP/1.1\r\n" + fields + "\r\n\r\n" + HIDDEN, *BAD, NOTHING
    for target in ("http://lab.t.test/~", "http://pi.t.test:81/~", "http://x@pi.t.test/~", "http:///~", "ftp://pi.t.test/~",
                   "http://pi.t.test?~",
                   "http://pi.t.test,/~"):
        yield f"target {target!r}", f"GET {target} HTTP/1.1\r\n" + HOST + "\r\n" + HIDDEN, *BAD, NOTHING
    yield "absolute", "GET http://PI.t.test/~ HTTP/1.1\r\n" + HOST + "\r\n", *KEPT, GOT
    yield "absolute without Host", "GET http://pi.t.test/~ HTTP/1.0\r\n\r\n", [200], "close", GOT
    yield ("two hosts on one connection", GET + "\r\nGET /~-2 HTTP/1.1\r\nHost: lab.t.test\r\n\r\n" + GET_3, [200, 200, 200],
           "keep", ["GET /~", "GET /~-3"])


def fields():
    """Fields and connections.  RFC 9112 5 and 9, RFC 9110 7.6.1"""
    for line in ("X : y", "X y", ": y", "X\t: y", "X: y\r\n z", "X: y\x00z", "X: y\x01", "X: y\x7f", "X: y\rz", "X: y\nZ: 1",
                 "X(: y", "\xc3\xa4: y", "X",
                 "Connection: Host", "Connection: close, X-Forwarded-For", "Connection: Content-Length\r\nContent-Length: 0",
                 "Connection: x_forwarded_for", "Connection: Cookie", "Connection: " + "a," * 600):
        yield f"field {line[:40]!r}", GET + line + "\r\n\r\n" + HIDDEN, *BAD, NOTHING
    yield "space before the first field", "GET /~ HTTP/1.1\r\n " + HOST + HOST + "\r\n" + HIDDEN, *BAD, NOTHING
    yield "a head too large", GET + "X: " + "y" * 17000 + "\r\n\r\n" + HIDDEN, [431], "close", NOTHING
    yield "too many fields", GET + "X: y\r\n" * 100 + "\r\n" + HIDDEN, [431], "close", NOTHING
    yield ("Connection names what is its own", POST + "Connection: Transfer-Encoding, X-Mine\r\nX-Mine: 1\r\n"
           "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", *KEPT, POSTED)
    yield "behind the last request", GET + "Connection: close\r\n\r\n" + HIDDEN, [200], "close", GOT
    yield "behind the last request of 1.0", "GET /~ HTTP/1.0\r\n" + HOST + "\r\n" + HIDDEN, [200], "close", GOT
    yield ("behind a body and the end", POST + "Connection: close\r\nContent-Length: 5\r\n\r\nhello" + HIDDEN, [200], "close",
           POSTED)
    yield ("HTTP/1.0 that goes on", "GET /~ HTTP/1.0\r\nConnection: keep-alive\r\n" + HOST + "\r\n" + GET_2, [200, 200], "keep",
           ["GET /~", "GET /~-2"])
    yield ("h2c", GET + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", *KEPT,
           GOT)
    yield ("Upgrade with a body", POST + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello", *KEPT,
           POSTED)
    yield "Expect", POST + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", *KEPT, POSTED
    yield ("fields of the connection", GET +
           "TE: trailers\r\nKeep-Alive: x\r\nProxy-Connection: x\r\nTrailer: x\r\nProxy-Authorization: x\r\n\r\n", *KEPT, GOT)
    yield ("spoofed fields", GET + "X-Forwarded-For: 1.2.3.4\r\nX_Forwarded_For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\r\n",
           *KEPT, GOT)
    yield ("three at once", GET + "\r\n" + GET_2 + GET_3, [200, 200, 200], "keep", ["GET /~", "GET /~-2", "GET /~-3"])
    yield ("a bad one behind a good one", GET + "\r\nGET /~-2 HTTP/1.1\r\nHost : pi.t.test\r\n\r\n" + HIDDEN, [200, 400],
           "close", GOT)
    yield "HEAD and what follows", GET.replace("GET", "HEAD") + "\r\n" + GET_2, [200, 200], "keep", ["HEAD /~", "GET /~-2"]


REQUESTS = [case for group in (frames, chunks, lines, hosts, fields) for case in group()]

# ---- answers: name, the service's bytes, what it does then, statuses, body, how it ends for the visitor ----
#
# "cut": a reset, or an end without the last byte, and so no answer that looks whole.  "lost": that, or 502, because a reset
# takes with it what the agent has not read yet.

OK = "HTTP/1.1 200 OK\r\n"
WRONG = ([502], None, "keep")
EVIL = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


def heads_of_answers():
    for text in ("Content-Length: 2\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 2",
                 "Content-Length: 2\r\nContent-Length: 2", "Content-Length: 2\r\nContent-Length: 3", "Content-Length: 2, 2",
                 "Content-Length: -2", "Content-Length: +2", "Content-Length:", "Content-Length: 18446744073709551618",
                 "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, gzip", "Transfer-Encoding: identity",
                 "Transfer-Encoding:",
                 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "X: y\r\n z", "X : y", "X y", ": y", "X: y\x00",
                 "X: y\x01", "X: y\rz",
                 "X: y\nZ: 1", " X: y"):
        yield f"{text!r}", OK + text + "\r\n\r\nok" + EVIL, "stay", *WRONG
    for line in ("HTTP/2.0 200 OK", "HTTP/1.2 200 OK", "HTTP/0.9 200 OK", "http/1.1 200 OK", "HTTP/1.1  200 OK",
                 "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK",
                 "HTTP/1.1 020 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1", "SSH-2.0-OpenSSH_9.2", "220 mail ESMTP", "HTTP/1.1 200OK"):
        yield f"{line!r}", line + "\r\nContent-Length: 2\r\n\r\nok", "stay", *WRONG
    yield "HTTP/1.0 with chunks", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "stay", *WRONG
    yield "line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "stay", *WRONG
    yield "too large", OK + "X: " + "y" * 17000 + "\r\n\r\n", "stay", *WRONG
    yield "too many fields", OK + "X: y\r\n" * 101 + "\r\n", "stay", *WRONG
    yield "101 unasked", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "stay", *WRONG
    yield "nothing", "", "end", *WRONG
    yield "half a head", OK + "X: y", "end", *WRONG
    yield "no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "stay", [200], "ok", "keep"


def bodies_of_answers():
    for text in ("2\r\nokXX0\r\n\r\n", "0x2\r\nok\r\n0\r\n\r\n", "2 \r\nok\r\n0\r\n\r\n", "+2\r\nok\r\n0\r\n\r\n", "2\nok\r\n0\r\n\r\n",
                 "2\r\nok\n0\r\n\r\n", "2\r\nokX\r\n0\r\n\r\n",
                 "2\r\nok0\r\n\r\n", "x\r\nok\r\n0\r\n\r\n", "2\r\nok\r\n0\n\n", "2\r\nok\r\n0\r\nX : y\r\n\r\n",
                 "2\r\nok\r\n0\r\nX: y\r\n z\r\n\r\n",
                 "2;a=\"\r\nok\r\n0\r\n\r\n", "ffffffffffffffff\r\nok", "2\r\nok\r\n0\r\nX: " + "y" * 17000 + "\r\n\r\n"):
        yield f"chunks {text[:30]!r}", OK + "Transfer-Encoding: chunked\r\n\r\n" + text, "stay", [200], None, "cut"
    yield "chunks that break off", OK + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "end", [200], None, "cut"
    yield "no last empty line", OK + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "end", [200], None, "cut"
    yield "too short", OK + "Content-Length: 10\r\n\r\nok", "end", [200], None, "cut"
    yield "too short, reset", OK + "Content-Length: 10\r\n\r\nok", "reset", [200], None, "lost"
    yield "until close, reset", OK + "\r\nok", "reset", [200], None, "lost"
    yield "until close", OK + "\r\nok", "end", [200], "ok", "keep"
    yield "until close, HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", "end", [200], "ok", "keep"
    yield "two answers", OK + "Content-Length: 2\r\n\r\nok" + EVIL, "stay", [200], "ok", "keep"
    yield ("two answers, chunked", OK + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + EVIL, "stay", [200], "ok",
           "keep")
    yield "too long", OK + "Content-Length: 2\r\n\r\nok and more", "stay", [200], "ok", "keep"
    yield "a body with 204", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok" + EVIL, "stay", [204], "", "keep"
    yield "a body with 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok" + EVIL, "stay", [304], "", "keep"
    yield ("underscores", OK + "Content-Length: 2\r\nTransfer_Encoding: chunked\r\nContent_Length: 9\r\n\r\nok", "stay", [200],
           "ok", "keep")
    yield ("forbidden trailers", OK +
           "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 9\r\nSet-Cookie: a\r\nX-Ok: 1\r\n\r\n", "stay",
           [200], "ok", "keep")
    yield "100 unasked", "HTTP/1.1 100 Continue\r\n\r\n" + OK + "Content-Length: 2\r\n\r\nok", "stay", [100, 200], "ok", "keep"
    yield ("hints with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + OK + "Content-Length: 2\r\n\r\nok",
           "stay", [103, 200], "ok", "keep")
    yield "1xx without end", "HTTP/1.1 103 Early Hints\r\n\r\n" * 300, "stay", [103, 502], None, "keep"
    yield ("Connection names Set-Cookie", OK + "Connection: Set-Cookie\r\nSet-Cookie: a\r\nContent-Length: 2\r\n\r\nok", "stay",
           None, None, "keep")


ANSWERS = [case for group in (heads_of_answers, bodies_of_answers) for case in group()]

# ---- how bytes are sent ----


def pieces(raw, mode):
    """Those of mode: "whole", "head" (behind the first line), "middle", "last" (before the last byte), "bytes"."""
    if mode == "bytes":
        step = 1 if len(raw) < 2000 else 61
        return [raw[i:i + step] for i in range(0, len(raw), step)]
    at = {"whole": len(raw), "head": raw.find(b"\n") + 1, "middle": len(raw) // 2, "last": len(raw) - 1}[mode]
    return [p for p in (raw[:at], raw[at:]) if p]


async def send(w, raw, mode):
    """Not more than one piece in the kernel at a time, as far as a sender can see to that."""
    for i, piece in enumerate(pieces(raw, mode)):
        if i > 0:
            await asyncio.sleep(0 if mode == "bytes" else 0.02)
        w.write(piece)
        await w.drain()


# ---- the plain service, and its records ----

FRAMING = {"content-length", "transfer-encoding", "connection"}
NEVER = {"keep-alive", "proxy-connection", "te", "upgrade", "http2-settings", "proxy-authorization", "x-mine"}


class Malformed(Exception):
    pass


class Record:
    """The bytes of one connection to the service, and the requests that stand in them."""

    def __init__(self):
        self.raw, self.at, self.requests = b"", 0, []

    def line(self):
        end = self.raw.find(b"\n", self.at)
        if end < 0:
            return None
        line = self.raw[self.at:end + 1]
        self.at = end + 1
        if not line.endswith(b"\r\n") or b"\r" in line[:-2] or any(c < 32 and c != 9 or c == 127 for c in line[:-2]):
            raise Malformed(f"a line {line!r}")
        return line[:-2].decode("latin-1")

    def fields(self):
        """None: they are not whole."""
        got = []
        while (line := self.line()) is not None:
            if line == "":
                return got
            name, colon, value = line.partition(":")
            if colon == "" or name == "" or any(c in name for c in " \t") or not value.startswith(" ") or value.startswith("  "):
                raise Malformed(f"a field {line!r}")
            got.append((name.lower(), value[1:]))
        return None

    def chunked(self):
        while (line := self.line()) is not None:
            if not line or line.strip("0123456789abcdef"):
                raise Malformed(f"a chunk {line!r}")
            n = int(line, 16)
            if n == 0:
                trailers = self.fields()
                bad = [t for t, _ in trailers or [] if t != "x-ok"]
                if bad:
                    raise Malformed(f"trailers {bad}")
                return trailers is not None
            if len(self.raw) < self.at + n + 2:
                return False
            if self.raw[self.at + n:self.at + n + 2] != b"\r\n":
                raise Malformed("a chunk's end")
            self.at += n + 2
        return False

    def body(self, fields):
        """Is it whole?"""
        lengths = [v for n, v in fields if n == "content-length"]
        codings = [v for n, v in fields if n == "transfer-encoding"]
        if len(lengths) + len(codings) > 1:
            raise Malformed("two ends")
        if codings:
            if codings != ["chunked"]:
                raise Malformed(f"coding {codings}")
            return self.chunked()
        if lengths:
            if not lengths[0].isdigit():
                raise Malformed(f"length {lengths}")
            self.at += int(lengths[0])
            return self.at <= len(self.raw)
        return True

    def check_fields(self, fields):
        names = [n for n, _ in fields]
        if names.count("host") != 1 or names.count("x-forwarded-for") != 1 or names.count("forwarded") != 1:
            raise Malformed(f"fields {names}")
        bad = [n for n in names if n in NEVER or ("_" in n and n.replace("_", "-") in FRAMING | {"x-forwarded-for"})]
        if bad or any("1.2.3.4" in v for _, v in fields):
            raise Malformed(f"fields {bad or fields}")

    def next(self):
        """The next whole request as (method, target), once; None: it is not whole."""
        begin = self.at
        line, fields, whole = self.line(), None, False
        if line is not None:
            fields = self.fields()
        if fields is not None:
            parts = line.split(" ")
            if len(parts) != 3 or parts[2] != "HTTP/1.1":
                raise Malformed(f"a request line {line!r}")
            self.check_fields(fields)
            whole = self.body(fields)
        if not whole:
            self.at = begin
            return None
        run = [v for n, v in fields if n == "x-run"]
        self.requests.append((parts[0], parts[1], run[0] if run else None))
        return self.requests[-1]


records, faults = [], []


async def plain(r, w):
    record = Record()
    records.append(record)
    try:
        while data := await r.read(65536):
            record.raw += data
            while (q := record.next()) is not None:
                body = f"{q[0]} {q[1]}".encode()
                w.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + (body if q[0] != "HEAD" else b""))
            await w.drain()
    except Malformed as e:
        faults.append(f"the service got {e}: {record.raw[-300:]!r}")
    except OSError:
        pass
    w.close()


async def hostile(r, w):
    try:
        head = await r.readuntil(b"\r\n\r\n")
        target = head.split(b" ")[1].decode()
        if not target.startswith("/a"):
            w.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(target) + 4, b"GET " +
                                                                                               target.encode()))
            await w.drain()
        else:
            number, mode = target[2:].split("-")
            _, text, then, *_ = ANSWERS[int(number)]
            await send(w, text.encode("latin-1"), mode)
            if then == "reset":
                w.get_extra_info("socket").setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER of 0 s
            elif then == "stay":
                await r.read()
    except (OSError, asyncio.IncompleteReadError):
        pass
    w.close()


# ---- visitors ----


class Cut(Exception):
    pass


class Answers:
    """Reads what a visitor gets."""

    def __init__(self, r):
        self.r = r

    async def line(self):
        try:
            line = await self.r.readuntil(b"\r\n")
        except (asyncio.IncompleteReadError, OSError) as e:
            raise Cut(getattr(e, "partial", b"")) from e
        return line[:-2].decode("latin-1")

    async def exactly(self, n):
        try:
            return await self.r.readexactly(n)
        except (asyncio.IncompleteReadError, OSError) as e:
            raise Cut() from e

    async def head(self):
        first, fields = await self.line(), {}
        while (line := await self.line()) != "":
            name, value = line.split(":", 1)
            assert name.lower() not in fields or name.lower() not in FRAMING, name
            assert not ("_" in name and name.replace("_", "-").lower() in FRAMING), name
            fields[name.lower()] = value.strip()
        return int(first.split(" ")[1]), fields

    async def body(self, status, fields, method):
        if method == "HEAD" or status < 200 or status in (204, 304):
            return ""
        if "content-length" in fields:
            assert "transfer-encoding" not in fields
            return (await self.exactly(int(fields["content-length"]))).decode("latin-1")
        assert fields.get("transfer-encoding") == "chunked", fields
        text = b""
        while (n := int(await self.line(), 16)) > 0:
            text += await self.exactly(n)
            assert await self.line() == ""
        while (line := await self.line()) != "":
            assert line == "X-Ok: 1", line
        return text.decode("latin-1")

    async def end(self):
        """Nothing more comes: "close" or "reset"."""
        try:
            got = await self.r.read(100)
        except OSError:
            return "reset"
        return "close" if got == b"" else f"more: {got!r}"


port = 0
n_visitors = 0


async def visit():
    """A connection from an address that nobody else has."""
    global n_visitors
    n_visitors += 1
    source = f"127.{1 + n_visitors // 62500}.{1 + n_visitors // 250 % 250}.{1 + n_visitors % 250}"
    r, w = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    return Answers(r), w


async def ask(a, w, host, target):
    """An honest request: its own answer, or what came in its place."""
    w.write(f"GET {target} HTTP/1.1\r\nHost: {host}.t.test\r\n\r\n".encode())
    try:
        status, fields = await a.head()
        body = await a.body(status, fields, "GET")
    except (Cut, OSError) as e:
        return f"{type(e).__name__} {e}"
    return None if (status, body) == (200, f"GET {target}") else f"{status} {body!r}"


async def ask_elsewhere(target):
    a, w = await visit()
    got = await ask(a, w, "pi", target)
    w.close()
    return [] if got is None else [f"an honest request elsewhere got {got}"]


async def send_all(w, raw, mode, end):
    try:
        await send(w, raw, mode)
        if end == "half":
            w.write_eof()
    except OSError:
        pass  # it was refused before the last byte


async def run_request(name, raw, statuses, end, run, mode):
    """Returns what is wrong."""
    a, w = await visit()
    wrong, got = [], []
    raw = raw.replace("~", run)
    methods = [line.split(" ")[0] for line in raw.split("\r\n") if line.endswith("HTTP/1.1")] or ["GET"]
    sender = asyncio.create_task(send_all(w, raw.encode("latin-1"), mode, end))
    try:
        while len(got) < len(statuses):
            status, fields = await a.head()
            await a.body(status, fields, methods[len(got)] if len(got) < len(methods) else "GET")
            got.append(status)
    except Cut as e:
        wrong.append(f"cut {e}")
    await sender
    if got != statuses:
        wrong.append(f"answers {got}")
    elif end == "keep":
        if (other := await ask(a, w, "pi", f"/{run}-after")) is not None:
            wrong.append(f"the next request on the connection got {other}")
    elif (how := await a.end()) != "close":
        wrong.append(how)
    w.close()
    return wrong + await ask_elsewhere(f"/{run}-honest")


async def run_answer(name, statuses, body, end, number, mode):
    a, w = await visit()
    wrong, got, text = [], [], None
    w.write(f"GET /a{number}-{mode} HTTP/1.1\r\nHost: lab.t.test\r\n\r\n".encode())
    how = "keep"
    try:
        while not got or got[-1] < 200:
            status, fields = await a.head()
            if not got or got[-1] != status:  # one of many 1xx
                got.append(status)
            text = await a.body(status, fields, "GET")
    except Cut:
        how = "cut"
    if end == "lost":
        statuses, end = ([502], "keep") if got == [502] else (statuses, "cut")
    # Before anything was cut its head may have been lost with it.
    if statuses is not None and got != statuses and not (how == "cut" and got == []):
        wrong.append(f"answers {got}")
    if how != end:
        wrong.append(f"it ends by {how}: {text!r}")
    elif end == "keep":
        if body is not None and text != body:
            wrong.append(f"body {text!r}")
        if (other := await ask(a, w, "pi", f"/a{number}-{mode}-after")) is not None:
            wrong.append(f"the next request on the connection got {other}")
    w.close()
    a, w = await visit()
    if (other := await ask(a, w, "lab", f"/b{number}-{mode}")) is not None:
        wrong.append(f"an honest request to the same service got {other}")
    w.close()
    return wrong + await ask_elsewhere(f"/a{number}-{mode}-honest")


# ---- all of it ----


def seen_by_run():
    seen = {}
    for record in records:
        for method, target, run in record.requests:
            name = run or target[1:].split("-")[0]
            if target.endswith(("-after", "-honest")) and not target.startswith("/a"):
                continue
            seen.setdefault(name, []).append(f"{method} {target}")
        rest = record.raw[record.at:]
        if b"smuggled" in rest.split(b"\r\n\r\n")[0]:
            faults.append(f"unfinished: {rest!r}")
    return seen


def check_service(expected):
    seen = seen_by_run()
    hidden = [r for all_of_one in seen.values() for r in all_of_one if "smuggled" in r]
    if hidden:
        faults.append(f"smuggled to the service: {hidden}")
    for run, (name, mode, service) in expected.items():
        want = sorted(s.replace("~", run) for s in service if s != "...")
        if sorted(seen.get(run, [])) != want:
            faults.append(f"{name} ({mode}): the service got {seen.get(run, [])} and not {want}")


async def main():
    global port
    services = {"plain": await asyncio.start_server(plain, "127.0.0.1", 0), "hostile": await asyncio.start_server(hostile,
                                                                                                                  "127.0.0.1", 0)}
    with open(sys.argv[1] + ".new", "w") as f:
        json.dump({name: s.sockets[0].getsockname()[1] for name, s in services.items()}, f)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    while not os.path.exists(sys.argv[2]):
        await asyncio.sleep(0.05)
    with open(sys.argv[2]) as f:
        port = int(f.read())
    places, expected, jobs = asyncio.Semaphore(AT_ONCE), {}, []

    async def job(what, mode, coroutine):
        async with places:
            try:
                wrong = await asyncio.wait_for(coroutine, DEADLINE_S)
            except (asyncio.TimeoutError, OSError, AssertionError, ValueError) as e:
                wrong = [f"{type(e).__name__} {e}"]
        faults.extend(f"{what} ({mode}): {w}" for w in wrong)

    modes = ("whole", "head", "middle", "last", "bytes")
    for i, (name, raw, statuses, end, service) in enumerate(REQUESTS):
        for mode in modes:
            run = f"q{i}{mode}"
            expected[run] = name, mode, service
            jobs.append(job(name, mode, run_request(name, raw, statuses, end, run, mode)))
    for i, (name, _, _, statuses, body, end) in enumerate(ANSWERS):
        for mode in modes:
            jobs.append(job("answer: " + name, mode, run_answer(name, statuses, body, end, i, mode)))
    await asyncio.gather(*jobs)
    check_service(expected)
    for fault in faults[:60]:
        print("FAILED:", fault)
    print(f"{len(REQUESTS)} requests, {len(ANSWERS)} answers, {len(jobs)} runs, {len(records)} connections to the service,",
          f"{len(faults)} faults")
    sys.stdout.flush()
    # At once: connections that are still open need no good end.
    os._exit(1 if faults else 0)


asyncio.run(main())
