# SPDX-License-Identifier: Apache-2.0
"""Many connections and many requests: every verdict right, nothing lost, nothing left."""
import asyncio
import random
import resource

import pytest

from ends import End, check_denied
from policies import http_policy
from procfs import PATIENCE, SANITIZED, descriptors, memory, wait_until

POLICY = http_policy("load", """
- method: GET|POST|HEAD
  path: /ok/[0-9]+/[0-9]+
- method: DELETE
  path: /ok/own
""")


class Request:
    """One request of a random shape. Its own numbers are in its path, and in its answer's body."""

    def __init__(self, chance, connection, number):
        self.path = b"/ok/%d/%d" % (connection, number)
        self.method = chance.choice([b"GET", b"GET", b"POST", b"POST", b"HEAD"])
        self.allowed = chance.random() < 0.7
        if not self.allowed:
            self.method, self.path = chance.choice([
                (self.method, b"/no/%d/%d" % (connection, number)),
                (b"DELETE", self.path), (self.method, self.path + b"?x"),
                (self.method, b"/ok/..%2f" + self.path[1:])])
        size = chance.choice([0, 1, 100, 5000])
        body = b"" if self.method not in (b"POST", b"DELETE") else bytes(size)
        framing = b"Content-Length: %d\r\n" % len(body) if body else b""
        if body and chance.random() < 0.5:
            framing = b"Transfer-Encoding: chunked\r\n"
            body = b"%x;r\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        self.raw = b"%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n%s" % (self.method, self.path, framing,
                                                            body)


async def read_message(reader):
    """(first line, body) of a request or response that has a length, chunks, or no body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head[:-4].split(b"\r\n")
    fields = {name.lower(): value.strip()
              for name, _, value in (line.partition(b":") for line in lines[1:])}
    if b"transfer-encoding" in fields:
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return lines[0], fields, body
    return lines[0], fields, int(fields.get(b"content-length", 0))


class Server:
    """Answers each request with its own path, in a random shape, and notes what must not come."""

    def __init__(self, seed):
        self.chance, self.bad, self.seen = random.Random(seed), [], 0

    async def serve(self, reader, writer):
        try:
            while True:
                await self.answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(self, reader, writer):
        line, _, body = await read_message(reader)
        if isinstance(body, int):
            await reader.readexactly(body)
        method, path, _ = line.split(b" ")
        self.seen += 1
        if not path.startswith(b"/ok/") or method == b"DELETE" or b"?" in path or b"%" in path:
            self.bad.append(line)
        body = path + bytes(self.chance.choice([0, 3, 9000]))
        if method == b"HEAD":
            writer.write(b"HTTP/1.1 200 OK\r\nX-Path: %s\r\nContent-Length: %d\r\n\r\n"
                         % (path, len(body)))
        elif self.chance.random() < 0.5:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await writer.drain()
            writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        await writer.drain()


async def check_answer(reader, request):
    line, fields, body = await read_message(reader)
    if isinstance(body, int):
        body = b"" if request.method == b"HEAD" else await reader.readexactly(body)
    status = line.split(b" ")[1]
    assert status == (b"200" if request.allowed else b"403"), (request.raw[:80], line)
    if request.method == b"HEAD":
        assert not request.allowed or fields[b"x-path"] == request.path
    elif request.allowed:
        assert body.rstrip(b"\0") == request.path, (request.raw[:80], body[:80])
    else:
        assert body == b"Access denied\r\n"


async def client(sock, address, number, seed, count):
    """COUNT requests on one connection, some of them pipelined."""
    chance = random.Random(f"{seed} {number}")
    await asyncio.get_running_loop().sock_connect(sock, address)
    reader, writer = await asyncio.open_connection(sock=sock)
    requests = [Request(chance, number, i) for i in range(count)]
    done = 0
    while done < count:
        batch = requests[done:done + chance.choice([1, 1, 2, 3, 8])]
        writer.write(b"".join(request.raw for request in batch))
        for request in batch:
            await check_answer(reader, request)
        done += len(batch)
    writer.close()
    return sum(request.allowed for request in requests), len(requests)


async def mixed_load(workload, server_socket, seed, connections, count):
    server = Server(seed)
    listener = await asyncio.start_server(server.serve, sock=server_socket, limit=1 << 20)
    sockets = workload.sockets(connections)
    for sock in sockets:
        sock.setblocking(False)
    try:
        results = await asyncio.gather(*(
            client(sock, server_socket.getsockname(), i, seed, count)
            for i, sock in enumerate(sockets)))
    finally:
        listener.close()
        for sock in sockets:
            sock.close()
    return server, sum(r[0] for r in results), sum(r[1] for r in results)


@pytest.mark.held
@pytest.mark.parametrize("workers", [1, 2])
def test_100_connections_of_100_mixed_requests(workers, sluice, server):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    workload = sluice.workload(POLICY.format(port=server.port), workers=workers)
    origin, allowed, total = asyncio.run(
        mixed_load(workload, server.sock.dup(), seed, 100, 100))
    result = workload.finish()
    assert origin.bad == []
    assert (origin.seen, total) == (allowed, 100 * 100)
    assert result.stats["requests.allowed"] == allowed
    assert result.stats["requests.denied"] == total - allowed
    assert result.stats["conn.opened"] == 100
    assert result.other_lines == []


GET = b"GET /ok/1/1 HTTP/1.1\r\nHost: h\r\n\r\n"
DENIED = b"DELETE /ok/1/1 HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def connect_many(workload, server, count):
    """COUNT pairs of connected sockets."""
    pairs = []
    for sock in workload.sockets(count):
        sock.settimeout(PATIENCE)
        sock.connect(server.address)
        pairs.append((End(sock, "client"), server.accept()))
    server.ends.clear()
    return pairs


def close_all(pairs):
    for pair in pairs:
        for end in pair:
            end.close()


def test_5000_idle_connections(sluice, server):
    """An idle connection costs little, and one among thousands is served as if it were alone."""
    wanted = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500) // 2
    count = min(1000 if SANITIZED else 5000, wanted)
    workload = sluice.workload(POLICY.format(port=server.port))
    warm = connect_many(workload, server, 50)
    close_all(warm)
    before = memory(workload.pid)
    pairs = connect_many(workload, server, count)
    try:
        idle = memory(workload.pid)
        for client_end, upstream in pairs:
            client_end.send(GET)
            assert upstream.read(len(GET)) == GET
            upstream.send(OK)
            assert client_end.read(len(OK)) == OK
        used = memory(workload.pid)
        per_connection = (idle - before) / count, (used - before) / count
        print(f"{count} idle connections: %.0f bytes of user-space memory each, "
              "%.0f after a request on each" % per_connection)
        if not SANITIZED and not sluice.direct:
            assert per_connection[1] < 8192
    finally:
        close_all(pairs)
    result = workload.finish()
    assert result.err == ""


def end_without_a_word(client_end, _):
    client_end.close()


def end_after_a_request(client_end, upstream):
    client_end.send(GET)
    assert upstream.read(len(GET)) == GET
    upstream.send(OK)
    assert client_end.read(len(OK)) == OK
    client_end.close()


def end_with_half_a_head(client_end, _):
    client_end.send(GET[:10])
    client_end.close()


def end_by_reset(client_end, upstream):
    client_end.send(GET)
    assert upstream.read(len(GET)) == GET
    client_end.reset()


def end_by_the_server(client_end, upstream):
    client_end.send(GET)
    assert upstream.read(len(GET)) == GET
    upstream.reset()


def end_after_a_denial(client_end, _):
    client_end.send(DENIED)
    check_denied(client_end.read_response())
    client_end.close()


def end_with_pending_denial(client_end, _):
    client_end.send(DENIED * 3)
    client_end.close()


ENDINGS = [end_without_a_word, end_after_a_request, end_with_half_a_head, end_by_reset,
           end_by_the_server, end_after_a_denial, end_with_pending_denial]


@pytest.mark.held
@pytest.mark.parametrize("count", [
    2000 if SANITIZED else 20000,
    pytest.param(100000, marks=pytest.mark.long)])
def test_connections_opened_and_closed_leave_nothing(count, sluice, server):
    workload = sluice.workload(POLICY.format(port=server.port), workers=2)
    fds = descriptors(workload.pid)
    close_all(connect_many(workload, server, 200))
    wait_until(lambda: descriptors(workload.pid) == fds, "the first connections are gone")
    before = memory(workload.pid)
    batch = 500
    for start in range(0, count, batch):
        pairs = connect_many(workload, server, batch)
        for i, pair in enumerate(pairs):
            ENDINGS[i % len(ENDINGS)](*pair)
        close_all(pairs)
    wait_until(lambda: descriptors(workload.pid) == fds, "every descriptor is closed")
    print(f"{count} connections: memory grew by {(memory(workload.pid) - before) >> 10} KiB")
    result = workload.finish()
    assert result.stats["conn.opened"] == count + 200
    assert sum(n for name, n in result.stats.items() if name.startswith("close.")) == count + 200
    assert result.other_lines == []
