# SPDX-License-Identifier: Apache-2.0
"""Just enough of RFC 6455 for a server that sends every message back."""
import base64
import hashlib
import struct
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def accept_key(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def frame(opcode, payload, mask=None):
    """One final frame; a client has to mask what it sends."""
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head = struct.pack("!BB", 0x80 | opcode, bit | len(payload))
    elif len(payload) < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, bit | 126, len(payload))
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, bit | 127, len(payload))
    return head + mask + masked(payload, mask) if mask else head + payload


def masked(payload, mask):
    if not payload:
        return b""
    key = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(
        len(payload), "big")


def read_frame(end):
    """(final, opcode, payload) of the next frame, unmasked."""
    first, second = end.read(2)
    length = second & 127
    if length == 126:
        length = struct.unpack("!H", end.read(2))[0]
    elif length == 127:
        length = struct.unpack("!Q", end.read(8))[0]
    mask = end.read(4) if second & 128 else None
    payload = end.read(length)
    return bool(first & 128), first & 15, masked(payload, mask) if mask else payload


class EchoServer(threading.Thread):
    """Serves the next connection of a RawServer until a close frame came."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.messages, self.error = server, 0, None
        self.start()

    def run(self):
        try:
            with self.server.accept() as end:
                self._shake_hands(end)
                self._echo(end)
        except (OSError, EOFError, ValueError, AssertionError) as error:
            self.error = error

    @staticmethod
    def _shake_hands(end):
        fields = dict(line.split(b": ", 1) for line in end.read_head().split(b"\r\n")[1:-2])
        key = {name.lower(): value for name, value in fields.items()}[b"sec-websocket-key"]
        end.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n")

    def _echo(self, end):
        message = b""
        while True:
            final, opcode, payload = read_frame(end)
            if opcode == CLOSE:
                end.send(frame(CLOSE, payload))
                return
            if opcode == PING:
                end.send(frame(PONG, payload))
            elif opcode != PONG:
                message += payload
                if final:
                    end.send(frame(BINARY, message))
                    self.messages += 1
                    message = b""
