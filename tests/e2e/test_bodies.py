# SPDX-License-Identifier: Apache-2.0
"""Bodies of any size, up and down, with slow readers: every byte arrives, in constant memory."""
import contextlib
import hashlib
import os
import select
import threading

import pytest

import h2_frames
from policies import http_policy
from procfs import PATIENCE, SANITIZED, forget_peak, memory

POLICY = http_policy("bodies", "- method: PUT")
HUGE = (64 if SANITIZED else 1024) << 20
GROWTH_MAX = 16 << 20
# Random, and of a length that is no multiple of any buffer's.
PATTERN = os.urandom((1 << 20) + 4099)


def body_parts(size):
    while size > 0:
        part = PATTERN[:size] if size < len(PATTERN) else PATTERN
        yield part
        size -= len(part)


def chunks(size):
    """A body of SIZE bytes in chunks."""
    for part in body_parts(size):
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


def frames_of(chunked):
    return chunks if chunked else body_parts


def length_and_hash(parts):
    total, digest = 0, hashlib.sha1()
    for part in parts:
        total += len(part)
        digest.update(part)
    return total, digest.hexdigest()


class Writer(threading.Thread):
    """Sends in the background. STUCK is set whenever nobody takes more."""

    def __init__(self, end, parts):
        super().__init__(daemon=True)
        self.end, self.parts, self.stuck, self.error = end, parts, threading.Event(), None
        self.start()

    def run(self):
        try:
            for part in self.parts:
                self._send(memoryview(part))
        except OSError as error:
            self.error = error
        self.stuck.set()

    def _send(self, rest):
        while rest:
            if not select.select([], [self.end], [], 0.05)[1]:
                self.stuck.set()
                if not select.select([], [self.end], [], PATIENCE)[1]:
                    raise TimeoutError("nobody takes more")
            rest = rest[self.end.sock.send(rest[:1 << 18]):]

    def wait_stuck(self):
        """Wait until nobody takes more, or all is sent."""
        self.stuck.clear()
        while self.is_alive() and not self.stuck.wait(0.02):
            pass

    def done(self):
        self.join(PATIENCE)
        assert not self.is_alive() and self.error is None, self.error


def slow_hash(end, total, writer, pauses):
    """Read TOTAL bytes, and let the writer get stuck PAUSES times, the first time at the start."""
    digest, buffer, left = hashlib.sha1(), bytearray(1 << 18), total
    stops = [total * i // pauses for i in range(pauses)]
    while left:
        if stops and total - left >= stops[0]:
            stops.pop(0)
            writer.wait_stuck()
        count = end.sock.recv_into(buffer, min(left, len(buffer)))
        assert count, f"the end comes {left} bytes too early"
        digest.update(memoryview(buffer)[:count])
        left -= count
    return digest.hexdigest()


HEAD = b"PUT /%d HTTP/1.1\r\nHost: h\r\n%s\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\n%s\r\n"


def framing(size, chunked):
    return b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % size


def transfer(source, sink, head, frames, size, pauses):
    """Send HEAD and a body of SIZE bytes, as FRAMES makes it, from one end to the other, and
    compare."""
    total, digest = length_and_hash(frames(size))
    source.send(head)
    assert sink.read(len(head)) == head
    assert sink.buffer == b""
    writer = Writer(source, frames(size))
    assert slow_hash(sink, total, writer, pauses) == digest
    writer.done()


def echo(client, upstream, size, chunked, pauses=0):
    """A request and a response, both with a body of SIZE bytes."""
    how = framing(size, chunked)
    frames = frames_of(chunked)
    transfer(client, upstream, HEAD % (size, how), frames, size, pauses)
    transfer(upstream, client, RESPONSE % how, frames, size, pauses)


SIZES = [0, 1, 2, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 131072, 1000003,
         (10 << 20) + 7]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_bodies_of_any_size(chunked, sluice, server):
    """One keep-alive connection for all of them: each must end where it ends."""
    workload = sluice.workload(POLICY.format(port=server.port))
    with workload.connect(server.address) as client:
        upstream = server.accept()
        for size in SIZES:
            echo(client, upstream, size, chunked)
        assert client.waiting() == upstream.waiting() == b""
    assert workload.finish().err == ""


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("chunked", [
    False, pytest.param(True, marks=pytest.mark.long)], ids=["length", "chunks"])
def test_huge_body_with_a_slow_reader(direction, chunked, sluice, server):
    workload = sluice.workload(POLICY.format(port=server.port))
    with workload.connect(server.address) as client:
        upstream = server.accept()
        echo(client, upstream, 4 << 20, chunked)  # so that what sluice needs once is there
        forget_peak(workload.pid)
        before = memory(workload.pid)
        up, down = (HUGE, 2) if direction == "up" else (2, HUGE)
        frames = frames_of(chunked)
        transfer(client, upstream, HEAD % (up, framing(up, chunked)), frames, up,
                 pauses=4 if direction == "up" else 0)
        transfer(upstream, client, RESPONSE % framing(down, chunked), frames, down,
                 pauses=4 if direction == "down" else 0)
        grown = memory(workload.pid, "VmHWM") - before
    print(f"{HUGE >> 20} MiB {direction}: sluice grew by {grown >> 10} KiB")
    if not SANITIZED and not sluice.direct:
        assert grown < GROWTH_MAX
    assert workload.finish().err == ""


@pytest.mark.parametrize("direction", ["up", "down"])
def test_tunnel_with_a_slow_reader(direction, sluice, server):
    """The same for bytes that are no HTTP any more."""
    size = HUGE >> 2
    upgrade = (b"PUT /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    switch = b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    workload = sluice.workload(POLICY.format(port=server.port))
    with workload.connect(server.address) as client:
        upstream = server.accept()
        client.send(upgrade)
        assert upstream.read(len(upgrade)) == upgrade
        upstream.send(switch)
        assert client.read(len(switch)) == switch
        forget_peak(workload.pid)
        before = memory(workload.pid)
        ends = (client, upstream) if direction == "up" else (upstream, client)
        transfer(*ends, b"begin", body_parts, size, pauses=4)
        grown = memory(workload.pid, "VmHWM") - before
    if not SANITIZED and not sluice.direct:
        assert grown < GROWTH_MAX
    assert workload.finish().err == ""


def http2_frames(size):
    """A body of SIZE bytes as DATA of stream 1."""
    for part in body_parts(size):
        yield b"".join(h2_frames.frame(h2_frames.DATA, 0, 1, part[at:at + 16384])
                       for at in range(0, len(part), 16384))
    yield h2_frames.frame(h2_frames.DATA, h2_frames.END_STREAM, 1)


@pytest.mark.held
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("size", [
    64 << 20, pytest.param(HUGE, marks=pytest.mark.long)], ids=["64M", "1G"])
def test_http2_body_with_a_slow_reader(size, direction, sluice, server):
    """The windows are so large that only TCP holds the writer back."""
    windows = h2_frames.settings(n4=h2_frames.WINDOW_MAX) + h2_frames.window(
        0, h2_frames.WINDOW_MAX - 65535)
    workload = sluice.workload(POLICY.format(port=server.port))
    client, upstream = h2_frames.greet(workload, server, windows)
    with client:
        forget_peak(workload.pid)
        before = memory(workload.pid)
        parts = {"up": 2, "down": 2, direction: size}
        for source, sink, way, head in (
                (client, upstream, "up", h2_frames.request(method=b"PUT")),
                (upstream, client, "down", h2_frames.OK)):
            head = h2_frames.headers(1, head, h2_frames.END_HEADERS)
            transfer(source, sink, head, http2_frames, parts[way], 4 if way == direction else 0)
        grown = memory(workload.pid, "VmHWM") - before
    print(f"{size >> 20} MiB {direction}: sluice grew by {grown >> 10} KiB")
    assert SANITIZED or grown < GROWTH_MAX
    assert workload.finish().err == ""


def fill(end, part):
    """Write until nobody has taken any more for a while. Returns how much was taken."""
    taken = 0
    with contextlib.suppress(TimeoutError):
        end.sock.settimeout(0.2)
        while True:
            taken += end.sock.send(part)
    end.sock.settimeout(PATIENCE)
    return taken


STALLED = b"PUT /up HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n"


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("who", ["reader", "writer"])
def test_reset_of_a_stalled_transfer_is_passed_on(direction, who, sluice, server):
    """Nobody reads, so nothing moves; even then the other side hears at once that it is over."""
    workload = sluice.workload(POLICY.format(port=server.port))
    with workload.connect(server.address) as client:
        upstream = server.accept()
        client.send(STALLED)
        assert upstream.read(len(STALLED)) == STALLED
        if direction == "down":
            upstream.send(RESPONSE % framing(1 << 30, False))
        writer, reader = (client, upstream) if direction == "up" else (upstream, client)
        assert fill(writer, bytes(1 << 16)) > 0
        if who == "reader":
            reader.reset()
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                while True:
                    writer.send(bytes(1 << 16))
        else:
            writer.reset()
            reader.read_to_reset()
    result = workload.finish()
    if not sluice.direct:
        passed_on = "client_reset" if (direction == "up") == (who == "writer") else "upstream_reset"
        assert result.closed(passed_on) == 1, result.stats


@pytest.mark.held
def test_client_that_never_reads_its_denials_is_bounded(sluice, server):
    """It can ask for denials faster than it reads them: sluice stops reading, and serves others."""
    workload = sluice.workload(POLICY.format(port=server.port))
    forget_peak(workload.pid)
    before = memory(workload.pid)
    with workload.connect(server.address) as flooder:
        fill(flooder, b"GET /no HTTP/1.1\r\nHost: h\r\n\r\n" * 1000)
        if not SANITIZED:
            assert memory(workload.pid, "VmHWM") - before < GROWTH_MAX
        server.accept()
        with workload.connect(server.address) as client:
            echo(client, server.accept(), 1000, False)
    workload.finish()


@pytest.mark.held
def test_buffers_come_back(sluice, server):
    """After bodies that filled every buffer on the way, memory is not kept by idle connections."""
    workload = sluice.workload(POLICY.format(port=server.port))
    pairs = []
    for _ in range(100):
        pairs.append((workload.connect(server.address), server.accept()))
    before = memory(workload.pid)
    for client, upstream in pairs:
        client.send(STALLED)
        assert upstream.read(len(STALLED)) == STALLED
        with contextlib.suppress(TimeoutError):
            client.sock.settimeout(0.01)
            while True:
                client.sock.send(bytes(1 << 16))
    print(f"100 stalled uploads: {(memory(workload.pid) - before) >> 10} KiB")
    if not SANITIZED:
        assert memory(workload.pid) - before < 100 * 300_000
    for client, upstream in pairs:
        client.reset()
        upstream.read_to_reset()
    assert workload.finish().closed("client_reset") == 100
