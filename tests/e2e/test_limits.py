# SPDX-License-Identifier: Apache-2.0
"""At every limit: what is too much is refused and counted, and others are served meanwhile."""
import contextlib
import os
import select
import signal
import socket
import time

import pytest

from crowd import Crowd
from ends import End, check_denied
from netns import NetworkNamespace
from policies import http_policy
from procfs import PATIENCE, SANITIZED, descriptors, forget_peak, memory, wait_until
from servers import RawServer

pytestmark = pytest.mark.held
POLICY = http_policy("limits", "- path: /ok")
GET = b"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def limits(**values):
    return [f"--limit={name.replace('_', '-')}={value}" for name, value in values.items()]


def check_served(client, upstream):
    client.send(GET)
    assert upstream.read(len(GET)) == GET
    upstream.send(OK)
    assert client.read(len(OK)) == OK


def serve_another(workload, server):
    """Somebody new comes, is served, and goes."""
    with workload.connect(server.address) as client, server.accept() as upstream:
        check_served(client, upstream)


def has_room(workload, server):
    """Is somebody new served, and not reset?"""
    try:
        with workload.connect(server.address) as client:
            ready, _, _ = select.select([client, server.sock], [], [], PATIENCE)
            if server.sock not in ready:
                return False
            check_served(client, server.accept())
            return True
    except ConnectionError:
        return False


def is_reset(workload, server):
    """Somebody new comes, and is reset: at once, or when it says something."""
    try:
        with workload.connect(server.address) as client:
            client.send(GET)
            return client.read_to_reset() == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


def test_of_a_request(sluice, server, folder):
    """Its head and its body: by a file, and by an option that overrides it."""
    path = os.path.join(folder, "sluice.yaml")
    with open(path, "w") as file:
        file.write("limits: {head-size: 2k, head-fields: 9, denied-body: 10}\n")
    workload = sluice.workload(POLICY.format(port=server.port),
                               options=["--config", path, *limits(head_fields=4)])
    too_large = [b"GET /ok HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n" % bytes(b"x" * 2048),
                 b"GET /ok HTTP/1.1\r\nHost: h\r\n%s\r\n" % (b"X: x\r\n" * 4)]
    for head in too_large:
        with workload.connect(server.address) as client:
            server.accept()
            client.send(head)
            assert client.read_response().status == 431
    with workload.connect(server.address) as client, server.accept() as upstream:
        for size in 10, 11:
            client.send(b"POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s"
                        % (size, bytes(size)))
            response = client.read_response()
            check_denied(response)
            assert (response.field("connection") == "close") == (size == 11)
        assert upstream.read_to_end() == b""
    serve_another(workload, server)
    result = workload.finish()
    assert result.closed("head_too_large") == result.stats["requests.refused"] == 2
    assert result.closed("denied") == 1


def test_of_connections(sluice, server):
    """Of all workers together; and each that is refused is named."""
    most, more = 20, 10
    workload = sluice.workload(POLICY.format(port=server.port), workers=2, log=True,
                               options=limits(connections=most))
    carried = [(workload.connect(server.address), server.accept()) for _ in range(most)]
    for _ in range(more):
        assert is_reset(workload, server)
    for pair in carried:
        check_served(*pair)
    for end in carried.pop():
        end.close()
    wait_until(lambda: has_room(workload, server), "there is room again")
    for pair in carried:
        check_served(*pair)
        for end in pair:
            end.close()
    result = workload.finish()
    refused = [line for line in result.log if line.get("close") == "limit"]
    assert len(refused) == result.closed("limit") == result.denied("too many connections") >= more
    assert all(line["destination"]["port"] == server.port for line in refused)


def speak(sockets, accepted):
    """All of SOCKETS send a request, which those ACCEPTED answer. Returns how many are answered."""
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.settimeout(PATIENCE)
            sock.sendall(GET)
    for upstream in accepted:
        assert upstream.read(len(GET)) == GET
        upstream.send(OK)
    answers = []
    for sock in sockets:
        with contextlib.suppress(OSError), sock:
            answers.append(sock.recv(100))
    for upstream in accepted:
        upstream.close()
    return answers.count(OK)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_of_descriptors(count, sluice, server):
    """Two are needed for a connection. What is beyond them is refused, named, and forgotten."""
    with RawServer() as crowded:
        workload = sluice.workload([POLICY.format(port=port)
                                    for port in (server.port, crowded.port)], log=True,
                                   prefix=("prlimit", f"--nofile={count}:{count}"))
        most = (count - descriptors(workload.pid)) // 2
        sockets = []
        while len(sockets) < count:
            sockets += workload.sockets(min(20, count - len(sockets)))
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.connect(crowded.address)
        accepted = []
        while select.select([crowded.sock], [], [], 0.5)[0]:
            accepted.append(crowded.accept())
        crowded.sock.close()  # whoever comes later is refused, and waits for nothing
        assert most // 2 < len(accepted) <= most + 1
        assert speak(sockets, accepted) == len(accepted)
        wait_until(lambda: has_room(workload, server), "there are descriptors again")
        result = workload.finish()
    assert result.closed("limit") > 0
    assert result.denied("too many connections, or open files") == result.closed("limit")


def test_of_connects(sluice, server):
    """While sluice does not accept, connections wait: up to the limit, and then they are refused."""
    workload = sluice.workload(POLICY.format(port=server.port), options=limits(connects=64))
    sockets = workload.sockets(100)
    os.kill(workload.pid, signal.SIGSTOP)
    try:
        os.waitpid(workload.pid, os.WUNTRACED)  # all its threads have stopped
        for sock in sockets:
            sock.connect(server.address)
    finally:
        os.kill(workload.pid, signal.SIGCONT)
    for _ in range(64):
        server.accept().close()
    reset = 0
    for sock in sockets:
        sock.settimeout(PATIENCE)
        try:
            assert sock.recv(1) == b""
        except ConnectionError:
            reset += 1
        sock.close()
    assert reset == 100 - 64
    serve_another(workload, server)
    assert workload.finish().denied("too many connections are being opened at once") == reset


@pytest.mark.parametrize("count", [200 if SANITIZED else 500,
                                   pytest.param(2000, marks=pytest.mark.long)])
def test_slow_loris(count, sluice, server):
    """Heads that come a byte now and then and never end: each gets 408 when its time is up."""
    workload = sluice.workload(POLICY.format(port=server.port), options=limits(head_time="200ms"))
    forget_peak(workload.pid)
    before = memory(workload.pid)
    slow = []
    for sock in workload.sockets(count):
        sock.connect(server.address)
        sock.setblocking(False)
        slow.append(sock)
        server.accept()
    waiting, answers, sent = set(slow), {}, 0
    began = time.monotonic()
    while waiting:
        assert time.monotonic() - began < PATIENCE
        for sock in list(waiting):
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                sock.send((b"GET /ok HTTP/1.1\r\nX: " + b"x" * 10000)[sent:sent + 1])
            with contextlib.suppress(BlockingIOError):
                answers[sock] = sock.recv(1000)
                waiting.discard(sock)
        sent += 1
        with workload.connect(server.address) as client:
            upstream = server.accept()
            check_served(client, upstream)
    if not SANITIZED:
        assert memory(workload.pid, "VmHWM") - before < count * 8192 + (1 << 20)
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers.values())
    for sock in slow:
        sock.close()
    assert sent > 2
    assert workload.finish().closed("head_too_slow") == count


def stall(socks):
    """Send until nobody takes any more, or has given way. Returns how much each has taken."""
    taken = dict.fromkeys(socks, 0)
    left = {sock.fileno(): sock for sock in socks}
    poll = select.poll()
    for sock in socks:
        sock.setblocking(False)
        poll.register(sock, select.POLLOUT)
    deadline = time.monotonic() + PATIENCE
    while writable := poll.poll(100):
        assert time.monotonic() < deadline, "they take more and more"
        for fd, _ in writable:
            try:
                taken[left[fd]] += left[fd].send(bytes(1 << 16))
            except BlockingIOError:
                pass
            except ConnectionError:
                left.pop(fd)
                poll.unregister(fd)
    return taken.values()


def begin_transfer(workload, server, direction):
    """A connection on which a body is about to be sent, to a peer that will not read it. Returns
    the two ends: the sender's, the other."""
    sock = workload.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(server.address)
    client, upstream = End(sock, "client"), server.accept()
    if direction == "up":
        head = b"POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n"
        client.send(head)
        assert upstream.read(len(head)) == head
        return client, upstream
    client.send(GET)
    assert upstream.read(len(GET)) == GET
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    return upstream, client


@pytest.mark.parametrize("count, direction", [
    (14, "up"), (300, "down"), pytest.param(14, "down", marks=pytest.mark.long),
    pytest.param(300, "up", marks=pytest.mark.long)])
def test_peers_that_never_read(count, direction, sluice):
    """They hold all buffers; some of them give way to others when they have for too long."""
    limit = max(1 << 20, count * 2 // 3 * (64 << 10))
    with NetworkNamespace() as namespace:
        # Little lies in the kernel, so nearly all of what was last read lies in sluice.
        namespace.set("net.ipv4.tcp_wmem", "4096 4096 4096")
        with namespace.inside():
            server = RawServer()
        with server:
            workload = sluice.workload(POLICY.format(port=server.port), log=True,
                                       options=limits(buffers=limit, stall_time="1s"),
                                       prefix=namespace.prefix)
            server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            serve_another(workload, server)
            forget_peak(workload.pid)
            before = memory(workload.pid)
            pairs = [begin_transfer(workload, server, direction) for _ in range(count)]
            assert all(taken > 0 for taken in stall([sender.sock for sender, _ in pairs]))
            for _ in range(3):
                serve_another(workload, server)
            if not SANITIZED:
                assert memory(workload.pid, "VmHWM") - before < limit + (2 << 20)
            for end in (end for pair in pairs for end in pair):
                end.close()
            result = workload.finish()
    assert 0 < result.closed("stalled") < count, result.stats
    assert result.denied("its bytes lay still") == result.closed("stalled")
    assert result.stats["buffers.short"] > 0
    assert [line["verdict"] for line in result.log if line.get("close") == "stalled"] \
        == ["ERROR"] * result.closed("stalled")


@pytest.mark.long
@pytest.mark.parametrize("count", [2000 if SANITIZED else 50000])
def test_half_open(count, sluice, server):
    """Connected and silent: as many stand as there are descriptors for, the rest is refused, and
    who speaks is served at once, before and after."""
    with RawServer() as crowded:
        workload = sluice.workload([POLICY.format(port=port)
                                    for port in (server.port, crowded.port)])
        with workload.connect(server.address) as first, server.accept() as upstream:
            check_served(first, upstream)
            before, files = memory(workload.pid), descriptors(workload.pid)
            most = min(count, (file_limit(workload.pid) - files) // 2, 65535)
            with Crowd(workload, crowded.sock, count) as crowd:
                used = memory(workload.pid) - before
                check_served(first, upstream)
                wait_until(lambda: crowd.standing() <= most, "the rest is refused")
                assert most - 1 <= crowd.standing()
                check_served(first, upstream)
                assert most - 1 <= crowd.accepted() <= most
                if most == count:
                    serve_another(workload, server)
                else:
                    assert is_reset(workload, server)
            print(f"{count} connections, of which {most} could stand: {used / most:.0f} bytes of "
                  "user-space memory each")
            wait_until(lambda: has_room(workload, server), "there is room again")
        result = workload.finish()
    assert result.closed("limit") >= count - most
    assert result.denied("too many connections") == result.closed("limit")


def file_limit(pid):
    with open(f"/proc/{pid}/limits") as table:
        return next(int(line.split()[3]) for line in table if line.startswith("Max open files"))
