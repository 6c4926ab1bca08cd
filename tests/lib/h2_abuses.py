# SPDX-License-Identifier: Apache-2.0
"""What nobody may do over HTTP/2, and what they may do however often: bytes, and what comes of them.

An abuse begins behind the SETTINGS of both sides. GOAWAY is the code with which its connection ends
(None: it goes on), REASON its counter. STATUSES is what the client is answered. PASSED requests
arrive, all of them for /ok. GROWTH is what sluice may grow by meanwhile: its buffers hold less than
a MiB of one connection, whatever happens on it."""
import dataclasses

from h2_frames import (ACK, CALM, COMPRESSION, CONTINUATION, DATA, END_HEADERS, END_STREAM,
                       FRAME_SIZE, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PROTOCOL,
                       PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_MAX,
                       WINDOW_UPDATE, frame, get, headers, ids, indexed, integer, literal, number,
                       post, request, reset, settings, window)

MIB = 1 << 20


@dataclasses.dataclass
class Abuse:
    name: str
    frames: bytes
    goaway: int = None
    reason: str = None
    statuses: tuple = ()
    passed: int = 0
    growth: int = 2 * MIB
    by_server: bool = False  # who sends FRAMES; the client has asked for /ok on stream 1


def broken(name, frames, code=PROTOCOL, passed=0, **more):
    return Abuse(name, frames, code, "http2", passed=passed, **more)


def limit(name, frames, passed=0, **more):
    return Abuse(name, frames, CALM, "http2_limit", passed=passed, **more)


def smuggled(name, block, flags=END_HEADERS | END_STREAM):
    return Abuse(name, headers(1, block, flags), statuses=("400",))


def by_server(name, frames, code=PROTOCOL, **more):
    return Abuse(name, frames, code, "http2_server", passed=1, by_server=True, **more)


def many(count, make, first=1):
    return b"".join(map(make, ids(count, first)))


def field(name, value):
    return request(more=literal(name, value))


def bomb():
    """A field of 4,000 bytes in the table, and a byte for each use of it."""
    return request(more=indexed(b"a", b"x" * 4000) + b"\xbe" * 4000)


def smuggled_fields():
    return [
        smuggled("CR in a value", field(b"a", b"b\rc")),
        smuggled("LF in a value", field(b"a", b"b\ntransfer-encoding: chunked")),
        smuggled("NUL in a value", field(b"a", b"b\0c")),
        smuggled("a line in a name", field(b"a\r\nb", b"c")),
        smuggled("a colon in a name", field(b"a: b", b"c")),
        smuggled("capitals", field(b"Content-Length", b"1")),
        smuggled("a request line in the path", request(b"/ok HTTP/1.1\r\nhost: k\r\n\r\nGET /no")),
        smuggled("a blank in the path", request(b"/ok /no")),
        smuggled("a request line in the method", request(method=b"GET /no HTTP/1.1\r\n")),
        smuggled("a line in the authority", request(authority=b"h\r\nx: y")),
        smuggled("a path in the authority", request(authority=b"h/no?")),
        smuggled("a path in the scheme", request(scheme=b"http://h/no?")),
        smuggled("transfer-encoding", field(b"transfer-encoding", b"chunked")),
        smuggled("connection", field(b"connection", b"upgrade")),
        smuggled("two lengths", field(b"content-length", b"0") + literal(b"content-length", b"0")),
        smuggled("a length that is none", field(b"content-length", b"0x5")),
        smuggled("a length without a body", field(b"content-length", b"5")),
        smuggled("two hosts", field(b"host", b"h") + literal(b"host", b"k")),
        smuggled("another host", field(b"host", b"k")),
        smuggled("a doubled path", request(more=literal(b":path", b"/no"))),
        smuggled("a late path", literal(b"a", b"b") + request()),
        smuggled("a status", request(more=literal(b":status", b"200"))),
        smuggled("an unknown pseudo-header", request(more=literal(b":fish", b"yes"))),
        smuggled("no path", literal(b":method", b"GET") + literal(b":scheme", b"http")),
        smuggled("an empty block", b""),
        smuggled("a protocol that nobody enabled",
                 request(method=b"CONNECT", more=b"") + literal(b":protocol", b"websocket")),
    ]


def out_of_place():
    return [
        broken("an even stream", get(2)),
        broken("a request without a stream", get(0)),
        broken("DATA of an idle stream", frame(DATA, 0, 5, b"x")),
        broken("RST_STREAM of an idle stream", reset(5)),
        broken("WINDOW_UPDATE of an idle stream", window(5, 1)),
        broken("a stream that was skipped", get(5) + get(3), passed=1),
        broken("a request on a denied stream", post(1, b"/no") + get(1)),
        broken("HEADERS behind the end", get(1) + headers(1, literal(b"a", b"b")), STREAM_CLOSED, 1),
        broken("DATA behind the end", get(1) + frame(DATA, 0, 1, b"x"), STREAM_CLOSED, 1),
        broken("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, request())),
        broken("CONTINUATION of another stream",
               headers(1, request(), 0) + frame(CONTINUATION, END_HEADERS, 3)),
        broken("PING inside of a block", headers(1, request(), 0) + frame(PING, 0, 0, bytes(8))),
        broken("HEADERS inside of a block", headers(1, request(), 0) + get(3)),
        broken("a push of the client's", frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + request())),
        broken("a reserved bit", get(1 | 1 << 31)),
        broken("SETTINGS of a stream", frame(SETTINGS, 0, 1)),
        broken("PING of a stream", frame(PING, 0, 1, bytes(8))),
        broken("an acknowledgement of nothing", frame(SETTINGS, ACK)),
        broken("more padding than HEADERS", headers(1, b"\xff" + request(), END_HEADERS | PADDED)),
        broken("more padding than DATA", post(1) + frame(DATA, PADDED, 1, b"\x05x"), passed=1),
    ]


def wrong_sizes():
    return [
        broken("DATA over the frame size", post(1) + frame(DATA, 0, 1, length=16385), FRAME_SIZE, 1),
        broken("HEADERS over the frame size", frame(HEADERS, END_HEADERS, 1, length=16385), FRAME_SIZE),
        broken("a frame of 16 MiB", frame(0xfe, 0, 0, length=(1 << 24) - 1), FRAME_SIZE),
        broken("a short PING", frame(PING, 0, 0, b"x"), FRAME_SIZE),
        broken("a short RST_STREAM", post(1) + frame(RST_STREAM, 0, 1, b"x"), FRAME_SIZE, 1),
        broken("a long WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, bytes(5)), FRAME_SIZE),
        broken("a short PRIORITY", frame(PRIORITY, 0, 1, bytes(4)), FRAME_SIZE),
        broken("a part of a setting", frame(SETTINGS, 0, 0, bytes(5)), FRAME_SIZE),
        broken("an acknowledgement with settings", frame(SETTINGS, ACK, 0, bytes(6)), FRAME_SIZE),
        broken("a short GOAWAY", frame(GOAWAY, 0, 0, bytes(4)), FRAME_SIZE),
    ]


def wrong_blocks():
    return [
        broken("a field of no table", get(1, more=b"\xbe"), COMPRESSION),
        broken("a truncated block", get(1, more=b"\0\x05abc"), COMPRESSION),
        broken("an endless number", headers(1, b"\xff" * 10 + b"\x01"), COMPRESSION),
        broken("bad Huffman code", get(1, more=b"\0\x84\xff\xff\xff\xff\0"), COMPRESSION),
        broken("a size update behind a field", get(1, more=integer(0x20, 5, 0)), COMPRESSION),
        broken("a table over the limit", headers(1, integer(0x20, 5, 65537) + request()), COMPRESSION),
        limit("a bomb of the table", headers(1, bomb())),
        limit("ten thousand fields", headers(1, request(more=b"\x90" * 10000))),
        limit("a field of 64 KiB", headers(1, request(more=b"\0\x01a" + integer(0, 7, 1 << 16)
                                                      + b"x" * 16000), 0)
              + frame(CONTINUATION, 0, 1, b"x" * 16384) * 4),
        Abuse("tables that are filled and emptied", many(500, lambda n: get(n, b"/no", b"".join(
            indexed(b"%d" % n, b"x" * 4000) for _ in range(3)) + indexed(b"b", b"y" * 70)))
            + headers(1001, integer(0x20, 5, 0) + integer(0x20, 5, 65536) + request(b"/no", more=b"".join(
                indexed(b"%d" % n, b"x" * 4000) for n in range(4)))),
            statuses=("403",) * 501),
    ]


def floods():
    return [
        limit("CONTINUATION that is empty", headers(1, request(), 0) + frame(CONTINUATION, 0, 1) * 10000),
        limit("CONTINUATION without an end",
              headers(1, request(), 0) + frame(CONTINUATION, 0, 1, b"\0\x01a\x01b") * 10000),
        limit("a block without an end", headers(1, request(), 0)
              + frame(CONTINUATION, 0, 1, literal(b"a", b"x" * 4000) * 4) * 1000),
        limit("SETTINGS that nobody acknowledges", settings(n3=1) * 10000),
        limit("a thousand settings", frame(SETTINGS, 0, 0, b"\0\3\0\0\0\1" * 1000)),
        limit("RST_STREAM on a denied stream", post(1, b"/no") + reset(1) * 600000),
        limit("WINDOW_UPDATE on a denied stream", post(1, b"/no") + window(1, 1) * 600000),
        limit("empty DATA on a denied stream", post(1, b"/no") + frame(DATA, 0, 1) * 600000),
        limit("a byte of DATA on a denied stream", post(1, b"/no") + frame(DATA, 0, 1, b"x") * 600000),
        limit("trailers on a denied stream", post(1, b"/no") + headers(1, b"\x90") * 600000),
        limit("unknown frames on a denied stream", post(1, b"/no") + frame(0xfe, 0, 1) * 600000),
        limit("open streams", many(16385, post), passed=16384, growth=16 * MIB),
        Abuse("PING", frame(PING, 0, 0, bytes(8)) * 20000),
        Abuse("PRIORITY", frame(PRIORITY, 0, 1, bytes(5)) * 20000),
        Abuse("WINDOW_UPDATE beyond all windows", window(0, WINDOW_MAX) * 10000),
        Abuse("WINDOW_UPDATE of nothing", window(0, 0) * 10000),
        Abuse("unknown frames", frame(0xfe, 0xff, 0, b"x" * 100) * 10000),
        Abuse("denied requests", many(2000, lambda n: get(n, b"/no")), statuses=("403",) * 2000),
        Abuse("rapid reset of denied streams", many(10000, lambda n: post(n, b"/no") + reset(n)),
              statuses=("403",) * 10000),
        Abuse("rapid reset of allowed streams", many(10000, lambda n: post(n) + reset(n)), passed=10000),
        Abuse("rapid reset of malformed requests",
              many(2000, lambda n: post(n, b"/ok", literal(b"A", b"")) + reset(n)),
              statuses=("400",) * 2000),
        Abuse("bodies that are too long", many(2000, lambda n: post(
            n, b"/ok", literal(b"content-length", b"1")) + frame(DATA, 0, n, b"xx")), passed=2000),
        Abuse("DATA beyond the window of a denied stream",
              post(1, b"/no") + frame(DATA, 0, 1, bytes(16384)) * 1000, statuses=("403",)),
        Abuse("empty DATA", post(1) + frame(DATA, 0, 1) * 20000, passed=1),
        Abuse("a few bytes that stand for many", get(1, b"/no", indexed(b"a", b"x" * 4000)) + many(
            2000, lambda n: get(n, b"/no", b"\xbe" * 15), 3), statuses=("403",) * 2001),
        Abuse("a field of its own for each request", many(2000, lambda n: get(
            n, b"/ok?", indexed(b"x-%d" % n, b"y" * 100))), statuses=("403",) * 2000),
    ]


def of_a_server():
    return [
        by_server("a response to nobody", headers(3, b"\x88")),
        by_server("DATA to nobody", frame(DATA, 0, 3, b"x")),
        by_server("a response on an even stream", headers(2, b"\x88")),
        by_server("a push", frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + request())),
        by_server("a response that cannot be decoded", headers(1, b"\xbe"), COMPRESSION),
        by_server("a response with 257 fields", headers(1, b"\x88" + b"\x90" * 256), CALM),
        by_server("a response that is a bomb",
                  headers(1, b"\x88" + indexed(b"a", b"x" * 4000) + b"\xbe" * 4000), CALM),
        by_server("CONTINUATION of a response", headers(1, b"\x88", 0) + frame(CONTINUATION, 0, 1) * 100,
                  CALM),
        by_server("SETTINGS of the server", settings(n3=1) * 1000, CALM),
        by_server("a frame that is too long", frame(DATA, 0, 1, length=16385), FRAME_SIZE),
        Abuse("PING of the server", frame(PING, 0, 0, bytes(8)) * 20000, passed=1, by_server=True),
        Abuse("interim responses", headers(1, b"\x08\x03100", END_HEADERS) * 2000, passed=1,
              statuses=("100",) * 2000, by_server=True),
    ]


# Made when they are needed: some are long.
KINDS = {"smuggled fields": smuggled_fields, "frames out of place": out_of_place,
         "wrong sizes": wrong_sizes, "header blocks": wrong_blocks, "floods": floods,
         "a server": of_a_server}
