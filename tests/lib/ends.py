# SPDX-License-Identifier: Apache-2.0
"""One end of a TCP connection in the hands of a scene: says and hears exact bytes."""
import re
import select
import socket
import struct

from procfs import PATIENCE

HEAD_END = b"\r\n\r\n"


class Response:
    """A response as it came: .raw is its every byte."""

    def __init__(self, head, body):
        self.raw = head + body
        self.body = body
        lines = head[:-len(HEAD_END)].decode("latin-1").split("\r\n")
        self.version, code, self.phrase = lines[0].split(" ", 2)
        self.status = int(code)
        self.fields = [(name.lower(), value.strip())
                       for name, _, value in (line.partition(":") for line in lines[1:])]

    def field(self, name):
        values = [value for key, value in self.fields if key == name]
        assert len(values) < 2, f"{name} is given {len(values)} times: {self.raw!r}"
        return values[0] if values else None


class End:
    def __init__(self, sock, name="end"):
        self.sock, self.name = sock, name
        self.buffer = b""
        self.ended = False
        self.was_reset = False  # a write heard of it, so that no read will
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def fileno(self):
        return self.sock.fileno()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except ConnectionResetError:
            self.was_reset = True
            raise

    def _fill(self):
        try:
            chunk = self.sock.recv(1 << 16)
        except socket.timeout:
            raise TimeoutError(f"{self.name} waits in vain; it has {self.buffer!r}") from None
        self.buffer += chunk
        self.ended = not chunk
        return bool(chunk)

    def _take(self, count):
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def read(self, count):
        """Exactly COUNT bytes, or fewer if the connection ends before."""
        while len(self.buffer) < count and self._fill():
            pass
        return self._take(count)

    def read_head(self):
        while HEAD_END not in self.buffer:
            if not self._fill():
                raise EOFError(f"{self.name}: the end comes before a head is whole: "
                               f"{self.buffer!r}")
        return self._take(self.buffer.index(HEAD_END) + len(HEAD_END))

    def read_response(self, to_head=False):
        """One final response whose body has a Content-Length, or none because of TO_HEAD."""
        head = self.read_head()
        response = Response(head, b"")
        length = response.field("content-length")
        if to_head or length is None:
            return response
        return Response(head, self.read(int(length)))

    def read_rest(self):
        """All bytes until the other side ends or resets the connection."""
        try:
            while not self.ended and self._fill():
                pass
        except ConnectionResetError:
            self.ended = True
        return self._take(len(self.buffer))

    def read_to_end(self):
        """All bytes until the other side ends the connection properly: a reset raises."""
        while not self.ended and self._fill():
            pass
        return self._take(len(self.buffer))

    def read_to_reset(self):
        """All bytes until the other side resets the connection: a proper end is an error."""
        try:
            while self._fill():
                pass
        except ConnectionResetError:
            self.was_reset = self.ended = True
        if self.was_reset:
            return self._take(len(self.buffer))
        raise AssertionError(f"{self.name}: an end where a reset was due, "
                             f"after {self.buffer!r}")

    def waiting(self):
        """Bytes that have arrived and were not read, without waiting for more."""
        if not select.select([self.sock], [], [], 0)[0]:
            return self.buffer
        return self.buffer + self.sock.recv(1 << 16, socket.MSG_PEEK)

    def shut(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def check_denied(response, to_head=False):
    """The documented answer to a denied request."""
    raw = response.raw
    assert response.status == 403, raw
    assert response.version == "HTTP/1.1", raw
    assert response.field("content-type") == "text/plain", raw
    assert response.field("content-length") == "15" or to_head, raw
    assert response.body == (b"" if to_head else b"Access denied\r\n"), raw
    # Nothing that would name the software or the rule: the client may be an attacker.
    assert not re.search(rb"(?i)sluice|rule|policy", raw), raw
