# SPDX-License-Identifier: Apache-2.0
"""Frames of HTTP/2 by hand, also those that no library would write, and what was received read
back with a HPACK that is not nghttp2's."""
import functools
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE,
 CONTINUATION) = range(10)
END_STREAM = ACK = 1
END_HEADERS, PADDED = 4, 8
PROTOCOL, STREAM_CLOSED, FRAME_SIZE, CANCEL, COMPRESSION, CALM, INADEQUATE_SECURITY = (
    1, 5, 6, 8, 9, 11, 12)
WINDOW_MAX = (1 << 31) - 1


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """LENGTH: what the header says, if that is not the truth."""
    return struct.pack(">I", len(payload) if length is None else length)[1:] \
        + struct.pack(">BBI", kind, flags, stream) + payload


def number(value):
    return struct.pack(">I", value)


def settings(**values):
    """Of setting n<NUMBER>=VALUE."""
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", int(name[1:]), value)
                                            for name, value in values.items()))


SETTINGS_ACK = frame(SETTINGS, ACK)
OK = b"\x88"  # a header block with that status


def integer(opcode, bits, value):
    """RFC 7541, section 5.1."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([opcode | value])
    out, value = [opcode | most], value - most
    while value >= 128:
        out.append(128 | value % 128)
        value //= 128
    return bytes([*out, value])


def literal(name, value, opcode=0, bits=4):
    """A field that does not enter the table; with OPCODE 64 and 6 BITS it does."""
    return b"".join([integer(opcode, bits, 0), *(integer(0, 7, len(text)) + text
                                                 for text in (name, value))])


def indexed(name, value):
    return literal(name, value, 0x40, 6)


@functools.lru_cache(maxsize=64)
def request(path=b"/ok", method=b"GET", authority=b"h", more=b"", scheme=b"http"):
    """A header block."""
    return b"".join([literal(b":method", method), literal(b":scheme", scheme),
                     literal(b":path", path), literal(b":authority", authority), more])


def headers(stream, block, flags=END_HEADERS | END_STREAM):
    return frame(HEADERS, flags, stream, block)


def get(stream, path=b"/ok", more=b""):
    return headers(stream, request(path, more=more))


def post(stream, path=b"/ok", more=b""):
    return headers(stream, request(path, b"POST", more=more), END_HEADERS)


def reset(stream, code=8):
    return frame(RST_STREAM, 0, stream, number(code))


def window(stream, size):
    return frame(WINDOW_UPDATE, 0, stream, number(size))


def greet(workload, server, more=b""):
    """A connection behind the SETTINGS of both sides. MORE is what both say with theirs."""
    client = workload.connect(server.address)
    upstream = server.accept()
    client.send(PREFACE + settings() + more)
    passed = PREFACE + settings(n2=0) + more  # no pushes
    assert upstream.read(len(passed)) == passed
    upstream.send(settings() + more + SETTINGS_ACK)
    passed = settings() + more + SETTINGS_ACK
    assert client.read(len(passed)) == passed
    client.send(SETTINGS_ACK)
    assert upstream.read(len(SETTINGS_ACK)) == SETTINGS_ACK
    return client, upstream


def ids(count, first=1):
    return range(first, first + 2 * count, 2)


class Frames:
    """What an end has received: frames in order, header blocks decoded."""

    def __init__(self, data):
        import hpack
        self.decoder = hpack.Decoder(max_header_list_size=1 << 20)
        self.decoder.max_allowed_table_size = 1 << 16
        self.all, self.heads = [], []
        at = len(PREFACE) if data.startswith(PREFACE) else 0
        while len(data) >= at + 9:
            kind, flags, stream = struct.unpack_from(">BBI", data, at + 3)
            end = at + 9 + int.from_bytes(data[at:at + 3], "big")
            if end > len(data):
                break
            self._add(kind, flags, stream, data[at + 9:end])
            at = end
        self.rest = data[at:]

    def _add(self, kind, flags, stream, payload):
        self.all.append((kind, flags, stream, payload))
        if kind in (HEADERS, CONTINUATION):
            self._block(kind, flags, stream, payload)

    def _block(self, kind, flags, stream, payload):
        if kind == HEADERS:
            pad = payload[0] if flags & PADDED else 0
            self.block = payload[bool(flags & PADDED):len(payload) - pad]
        else:
            self.block += payload
        if flags & END_HEADERS:
            self.heads.append((stream, dict(self.decoder.decode(self.block))))

    def of(self, kind):
        return [(flags, stream, payload) for k, flags, stream, payload in self.all if k == kind]

    def field(self, name):
        """Its value in every header block that has it."""
        return [head[name] for _, head in self.heads if name in head]

    def goaway(self):
        """The code of GOAWAY, or None."""
        found = self.of(GOAWAY)
        return int.from_bytes(found[-1][2][4:8], "big") if found else None
