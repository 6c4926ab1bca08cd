# SPDX-License-Identifier: Apache-2.0
"""Abuses of HTTP/2 over real sockets, a whole table of them against one sluice: none reaches the
server as a request, none costs more memory than its bound, and a neighbour is served all the time.
"""
import contextlib
import select
import time

import pytest

from h2_abuses import KINDS
from h2_frames import ACK, PING, Frames, frame, greet, post
from policies import http_policy
from procfs import PATIENCE, SANITIZED, forget_peak, memory
from servers_h2 import EchoH2
from test_http2 import Http2Client

pytestmark = pytest.mark.held
POLICY = http_policy("abuses", "- path: /ok")
MARK = b"the end."


class Neighbour:
    """Another connection through the same worker."""

    def __init__(self, workload, server):
        self.client = Http2Client(workload.connect(("127.0.0.1", server.port)))
        self.asked, self.longest = 0, 0

    def is_served(self):
        began = time.monotonic()
        self.client.request("/ok", [("x-n", str(self.asked))])
        assert self.client.answers[self.client.wait(1)[0]][0] == "200"
        self.asked += 1
        self.longest = max(self.longest, time.monotonic() - began)


class Peer:
    """One side of an abused connection: what it still has to send, and all that it got."""

    def __init__(self, end, frames=b""):
        self.end, self.rest, self.got, self.ended = end, memoryview(frames), bytearray(), False
        end.sock.setblocking(False)

    def fileno(self):
        return self.end.fileno()

    def read(self):
        try:
            chunk = self.end.sock.recv(1 << 18)
        except ConnectionResetError:
            chunk = b""
        self.got += chunk
        self.ended = not chunk

    def write(self):
        try:
            self.rest = self.rest[self.end.sock.send(self.rest[:1 << 18]):]
        except (ConnectionResetError, BrokenPipeError):
            self.rest = self.rest[:0]

    def say(self, frames):
        self.rest = memoryview(bytes(self.rest) + frames)


def converse(peers, neighbour, over):
    """All say what they have to, and hear what they are told, until OVER is true."""
    deadline = time.monotonic() + PATIENCE
    while not over():
        assert time.monotonic() < deadline, [bytes(peer.got[-100:]) for peer in peers]
        reading = [peer for peer in peers if not peer.ended]
        ready, room, _ = select.select(reading, [peer for peer in peers if peer.rest], [], 0.1)
        for peer in ready:
            peer.read()
        for peer in room:
            peer.write()
        if neighbour.longest == 0 or time.monotonic() > neighbour.due:
            neighbour.is_served()
            neighbour.due = time.monotonic() + 0.02


def abuse_once(abuse, workload, server, neighbour):
    """Returns what the client and the server got."""
    marked = b"" if abuse.goaway is not None else frame(PING, 0, 0, MARK)
    acknowledged = frame(PING, ACK, 0, MARK)
    with contextlib.ExitStack() as ends:
        client, upstream = map(ends.enter_context, greet(workload, server))
        if abuse.by_server:
            client.send(post(1))
        down = Peer(client, b"" if abuse.by_server else abuse.frames + marked)
        up = Peer(upstream, abuse.frames + marked if abuse.by_server else b"")
        abuser, other = (up, down) if abuse.by_server else (down, up)
        if marked:
            # Whoever gets the mark has got everything, and so has who gets its answer.
            converse([down, up], neighbour, lambda: marked in other.got)
            other.say(acknowledged)
            converse([down, up], neighbour, lambda: acknowledged in abuser.got)
        else:
            converse([down, up], neighbour, lambda: down.ended and up.ended)
    return Frames(bytes(down.got)), Frames(bytes(up.got))


def check(abuse, workload, server, neighbour):
    forget_peak(workload.pid)
    before = memory(workload.pid)
    to_client, to_server = abuse_once(abuse, workload, server, neighbour)
    grown = memory(workload.pid, "VmHWM") - before
    assert to_client.goaway() == abuse.goaway
    assert to_server.field(":path") == ["/ok"] * abuse.passed
    if abuse.goaway is None:
        assert to_client.field(":status") == list(abuse.statuses)
    assert SANITIZED or grown < abuse.growth, f"sluice grew by {grown >> 10} KiB"
    return grown


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.replace(" ", "_"))
def test_abuses(kind, sluice, server):
    abuses, wrong = KINDS[kind](), []
    with EchoH2() as echo:
        workload = sluice.workload([POLICY.format(port=port) for port in (server.port, echo.port)],
                                   workers=1, log=True)
        neighbour = Neighbour(workload, echo)
        for abuse in abuses:
            began = time.monotonic()
            neighbour.due = 0
            try:
                grown = check(abuse, workload, server, neighbour)
                print(f"{abuse.name}: {(time.monotonic() - began) * 1000:.0f} ms, "
                      f"{grown >> 10} KiB")
            except Exception as error:
                wrong.append(f"{abuse.name}: {error!r}")
        neighbour.is_served()
        neighbour.client.close()
        result = workload.finish()
    assert not wrong, "\n".join(wrong)
    assert echo.errors == [] and len(echo.paths) == neighbour.asked
    print(f"the neighbour was served {neighbour.asked} times, in at most "
          f"{neighbour.longest * 1000:.0f} ms")
    assert SANITIZED or neighbour.longest < 2, "the neighbour had to wait"
    for reason in ("http2", "http2_limit", "http2_server"):
        assert result.closed(reason) == sum(a.reason == reason for a in abuses), reason
    assert result.closed("done") + result.closed("client_reset") + result.closed(
        "upstream_reset") == 1 + sum(a.reason is None for a in abuses)
