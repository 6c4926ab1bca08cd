# SPDX-License-Identifier: Apache-2.0
"""A wire-tap: what a server of HTTP/2 without TLS is sent and sends, counted by kinds of frames."""
import collections
import contextlib
import socket
import threading

from procfs import PATIENCE
from servers import listen

DATA, HEADERS, PING = 0, 1, 6
ACK = 1
PREFACE_LEN, HEADER_LEN = 24, 9


class Flow:
    """What went one way on one connection or, added up, on all."""

    def __init__(self, skip=0):
        self.frames = collections.Counter()
        self.data = 0               # bytes of DATA
        self.streams = set()        # with HEADERS
        self.acks = 0               # PINGs that are answers
        self.left, self.head = skip, b""

    def feed(self, chunk):
        at = 0
        while at < len(chunk):
            if self.left:
                step = min(self.left, len(chunk) - at)
                self.left -= step
                at += step
                continue
            more = chunk[at:at + HEADER_LEN - len(self.head)]
            self.head += more
            at += len(more)
            if len(self.head) == HEADER_LEN:
                self._note(self.head)
                self.head = b""

    def _note(self, head):
        self.left, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        self.frames[kind] += 1
        if kind == DATA:
            self.data += self.left
        elif kind == HEADERS:
            self.streams.add(head[5:])
        elif kind == PING and flags & ACK:
            self.acks += 1


def _send(target, chunk):
    """Whether TARGET still listens."""
    try:
        target.sendall(chunk)
    except OSError:
        return False
    return True


class Tap:
    """Listens at a port of its own, and passes everything on to PORT and back. When it has ended,
    .up and .down are lists of flows, one a connection."""

    def __init__(self, port):
        self.target = "127.0.0.1", port
        self.sock = listen()
        self.port = self.sock.getsockname()[1]
        self.up, self.down, self.threads, self.sockets = [], [], [], []

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        for sock in [self.sock, *self.sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(PATIENCE)
        for sock in [self.sock, *self.sockets]:
            sock.close()

    def _start(self, run, *arguments):
        self.threads.append(threading.Thread(target=run, args=arguments, daemon=True))
        self.threads[-1].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.sock.accept()
                server = socket.create_connection(self.target)
                self.sockets += [client, server]
                self.up.append(Flow(PREFACE_LEN))
                self.down.append(Flow())
                for sock in (client, server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._start(self._pump, client, server, self.up[-1])
                self._start(self._pump, server, client, self.down[-1])

    @staticmethod
    def _pump(source, target, flow):
        heard = True
        try:
            while chunk := source.recv(1 << 18):
                flow.feed(chunk)
                # A server that has left may have said why: that still goes the other way.
                heard = heard and _send(target, chunk)
            if heard:
                target.shutdown(socket.SHUT_WR)
        except OSError:             # one side was reset, or has not waited: so does the other
            for sock in (source, target):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def data(flows):
    return sum(flow.data for flow in flows)


def requests(flows):
    return sum(len(flow.streams) for flow in flows)


def pings(flows):
    """(those that ask, those that answer)"""
    acks = sum(flow.acks for flow in flows)
    return sum(flow.frames[PING] for flow in flows) - acks, acks
