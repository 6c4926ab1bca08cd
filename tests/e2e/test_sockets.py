# SPDX-License-Identifier: Apache-2.0
"""What an application can ask of its sockets is true, and every way to connect is held."""
import errno
import os
import select
import socket
import subprocess
import textwrap

import pytest

from ends import End, check_denied
from netns import NetworkNamespace
from procfs import PATIENCE
from servers import RawServer, UdpServer, unused_port
from sockdiag import tcp_sockets

POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: sockets
spec:
  endpointSelector: {{}}
  egress:
  - toCIDR:
    - 127.0.0.0/8
    - ::1/128
    toPorts:
    - ports:
      - port: "{http}"
        protocol: TCP
      rules:
        http:
        - method: GET
          path: /ok
    - ports:
      - port: "{plain}"
        protocol: ANY
"""
GET = b"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n"
DENIED_GET = b"GET /no HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MSG_FASTOPEN = 0x20000000


def policy_for(server, plain=1):
    return POLICY.format(http=server.port, plain=plain)


def exchange(client, upstream):
    client.send(GET)
    assert upstream.read(len(GET)) == GET
    upstream.send(OK)
    assert client.read(len(OK)) == OK


@pytest.mark.parametrize("at, family, name", [
    ("127.0.0.1", socket.AF_INET, "127.0.0.1"),
    ("127.8.9.10", socket.AF_INET, "127.8.9.10"),
    ("::1", socket.AF_INET6, "::1"),
    ("127.0.0.1", socket.AF_INET6, "::ffff:127.0.0.1"),
])
def test_names_of_both_ends_are_true(at, family, name, sluice):
    """The application sees the address that it asked for, and the one that the server sees."""
    with RawServer(at) as server:
        workload = sluice.workload(policy_for(server))
        with workload.connect((name, server.port), family) as client:
            assert client.sock.getpeername()[:2] == (name, server.port)
            upstream = server.accept()
            exchange(client, upstream)
            assert client.sock.getpeername()[:2] == (name, server.port)
            mine = client.sock.getsockname()[0]
            assert mine.removeprefix("::ffff:") == upstream.sock.getpeername()[0]
            assert mine.startswith("::ffff:") == name.startswith("::ffff:")
        assert workload.finish().err == ""


def test_names_are_true_at_an_address_of_this_host(sluice):
    """It is not loopback, and so neither is the client's end."""
    with NetworkNamespace() as ns:
        subprocess.run([*ns.prefix, "ip", "address", "add", "192.0.2.7/32", "dev", "lo"],
                       check=True)
        with ns.inside():
            server = RawServer("192.0.2.7")
        with server:
            policy = policy_for(server).replace("127.0.0.0/8", "192.0.2.7/32")
            workload = sluice.workload(policy, prefix=ns.prefix)
            with workload.connect(server.address) as client:
                upstream = server.accept()
                exchange(client, upstream)
                assert client.sock.getpeername() == server.address
                assert client.sock.getsockname()[0] == upstream.sock.getpeername()[0] == "192.0.2.7"
            assert workload.finish().err == ""


@pytest.mark.parametrize("port", ["kernel's", "own"])
@pytest.mark.parametrize("address, server_at", [("127.0.0.7", "127.0.0.1"), ("::1", "::1")])
def test_bound_source_address_is_kept(address, server_at, port, sluice):
    with RawServer(server_at) as server:
        workload = sluice.workload(policy_for(server))
        sock = workload.socket(server.sock.family)
        sock.bind((address, unused_port(address) if port == "own" else 0))
        sock.connect(server.address)
        with End(sock, "client") as client:
            upstream = server.accept()
            exchange(client, upstream)
            assert upstream.sock.getpeername()[0] == address
            assert client.sock.getsockname()[0] == address
        assert workload.finish().err == ""


def test_bound_device_is_kept(sluice, server):
    workload = sluice.workload(policy_for(server))
    sock = workload.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    sock.connect(server.address)
    with End(sock, "client") as client:
        exchange(client, server.accept())
    assert workload.finish().err == ""


def test_non_blocking_connect(sluice, server):
    workload = sluice.workload(policy_for(server))
    with workload.socket() as sock:
        sock.setblocking(False)
        assert sock.connect_ex(server.address) in (0, errno.EINPROGRESS)
        assert select.select([], [sock], [], PATIENCE)[1]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert sock.getpeername() == server.address
        client, upstream = End(sock, "client"), server.accept()
        exchange(client, upstream)
    assert workload.finish().err == ""


def test_connect_to_nobody_fails_as_always(sluice):
    """Allowed, but nobody listens there: no proxy may turn that into a success."""
    port = unused_port()
    workload = sluice.workload(POLICY.format(http=port, plain=1))
    with workload.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(("127.0.0.1", port))
    with workload.socket(socket.AF_INET6) as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(("::1", port))
    with workload.socket() as sock:
        sock.setblocking(False)
        code = sock.connect_ex(("127.0.0.1", port))
        if code == errno.EINPROGRESS:
            select.select([], [sock], [], PATIENCE)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert code == errno.ECONNREFUSED
    assert workload.finish().err == ""


@pytest.mark.held
@pytest.mark.parametrize("family, name", [
    (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::ffff:127.0.0.1")])
def test_address_that_no_rule_allows_is_refused(family, name, sluice, server):
    with RawServer("::1" if name == "::1" else "127.0.0.1") as forbidden:
        workload = sluice.workload(policy_for(server))
        for blocking in (True, False):
            with workload.socket(family) as sock, pytest.raises(PermissionError):
                sock.setblocking(blocking)
                sock.connect((name, forbidden.port))
        result = workload.finish()
        shown = "[::1]" if name == "::1" else "127.0.0.1"
        assert result.denied(f"connect to {shown}:{forbidden.port} (TCP): no rule allows it") == 2
        assert result.other_lines == []
        assert forbidden.nobody_came()


@pytest.mark.held
def test_no_kind_of_address_leads_around_the_rules(sluice, server):
    """127.0.0.1 by each of its names: the same requests are allowed and denied."""
    workload = sluice.workload(policy_for(server))
    for family, name in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1"),
                         (socket.AF_INET, "0.0.0.0")):
        try:
            client = workload.connect((name, server.port), family)
        except PermissionError:
            assert name == "0.0.0.0"  # a policy that does not mention it may refuse it
            continue
        with client:
            upstream = server.accept()
            client.send(DENIED_GET)
            check_denied(client.read_response())
            exchange(client, upstream)
    workload.finish()


@pytest.fixture
def namespace():
    with NetworkNamespace() as ns:
        ns.set("net.ipv4.tcp_fastopen", 0x607)  # both sides, without a cookie
        yield ns


@pytest.mark.held
def test_fast_open_is_held(sluice, namespace):
    """Data in the very first packet: judged as any other."""
    with namespace.inside():
        server = RawServer()
        server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    with server, RawServer() as elsewhere:
        workload = sluice.workload(policy_for(server), prefix=namespace.prefix)
        with workload.socket() as sock:
            assert sock.sendto(GET, MSG_FASTOPEN, server.address) == len(GET)
            client, upstream = End(sock, "client"), server.accept()
            assert upstream.read(len(GET)) == GET
            upstream.send(OK)
            assert client.read(len(OK)) == OK
        with workload.socket() as sock:
            sock.sendto(DENIED_GET, MSG_FASTOPEN, server.address)
            client, upstream = End(sock, "client"), server.accept()
            check_denied(client.read_response())
            client.shut()
            assert upstream.read_to_end() == b""
        with workload.socket() as sock, pytest.raises(PermissionError):
            sock.sendto(GET, MSG_FASTOPEN, ("127.0.0.1", elsewhere.port))
        workload.finish()


def test_fast_open_is_real(sluice, namespace):
    """The scene before means something only if this kernel does send data in a first packet."""
    with namespace.inside():
        server = RawServer()
        server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
        sock = socket.socket()
    with server, sock:
        sock.sendto(b"early", MSG_FASTOPEN, server.address)
        upstream = server.accept()
        assert upstream.read(5) == b"early"
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
        assert info[5] & 32, "TCPI_OPT_SYN_DATA is not set"


def test_fast_open_connect_option(sluice, server):
    """TCP_FASTOPEN_CONNECT defers the connection to the first write."""
    workload = sluice.workload(policy_for(server))
    with workload.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, 30, 1)
        sock.connect(server.address)
        client = End(sock, "client")
        client.send(GET)
        upstream = server.accept()
        assert upstream.read(len(GET)) == GET
        upstream.send(OK)
        assert client.read(len(OK)) == OK
    assert workload.finish().err == ""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_allowed_udp_passes(address, sluice, server):
    with UdpServer(address) as udp:
        workload = sluice.workload(policy_for(server, plain=udp.port))
        with workload.socket(udp.sock.family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"unconnected", udp.address)
            data, client = udp.receive()
            assert data == b"unconnected"
            udp.sock.sendto(b"reply", client)
            sock.settimeout(PATIENCE)
            assert sock.recv(100) == b"reply"
            sock.connect(udp.address)
            sock.send(b"connected")
            assert udp.receive() == (b"connected", client)
            assert sock.getpeername()[:2] == udp.address
        result = workload.finish()
        assert result.err == ""


@pytest.mark.held
@pytest.mark.parametrize("family, name", [
    (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::ffff:127.0.0.1")])
def test_denied_udp_is_refused(family, name, sluice, server):
    with UdpServer("::1" if name == "::1" else "127.0.0.1") as udp:
        workload = sluice.workload(policy_for(server))
        where = (name, udp.port)
        with workload.socket(family, socket.SOCK_DGRAM) as sock:
            with pytest.raises(PermissionError):
                sock.sendto(b"secret", where)
            with pytest.raises(PermissionError):
                sock.sendmsg([b"secret"], [], 0, where)
            sock.connect(where)     # sends nothing
            with pytest.raises(PermissionError):
                sock.send(b"secret")
        result = workload.finish()
        shown = f"{'[::1]' if name == '::1' else '127.0.0.1'}:{udp.port} (UDP)"
        assert result.denied(f"datagram to {shown}: no rule allows it") == 3
        assert udp.got_nothing()


@pytest.mark.held
def test_http_rules_do_not_open_udp(sluice, server):
    """A port with HTTP rules is TCP's: the same number means nothing in UDP."""
    with UdpServer() as udp:
        workload = sluice.workload(POLICY.format(http=udp.port, plain=1))
        with workload.socket(kind=socket.SOCK_DGRAM) as sock, pytest.raises(PermissionError):
            sock.sendto(b"secret", udp.address)
        workload.finish()
        assert udp.got_nothing()


def test_udp_server_answers_who_wrote(sluice, server):
    """A server in the workload may answer; that is not the same as being allowed to begin."""
    workload = sluice.workload(policy_for(server))
    with workload.socket(kind=socket.SOCK_DGRAM) as inside, UdpServer() as outside, \
            UdpServer() as stranger:
        inside.bind(("127.0.0.1", 0))
        outside.sock.sendto(b"question", inside.getsockname())
        data, asker = inside.recvfrom(100)
        assert data == b"question"
        inside.sendto(b"answer", asker)
        assert outside.receive()[0] == b"answer"
        if not sluice.direct:
            with pytest.raises(PermissionError):
                inside.sendto(b"unasked", stranger.address)
            assert stranger.got_nothing()
    workload.finish()


def test_server_in_the_workload_is_reachable(sluice, server):
    """Egress rules do not concern connections that others open."""
    workload = sluice.workload(policy_for(server))
    with workload.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with End(socket.create_connection(listener.getsockname()), "outside") as outside:
            sock, _ = listener.accept()
            with End(sock, "inside") as inside:
                outside.send(b"hello")
                assert inside.read(5) == b"hello"
                inside.send(b"and back")
                inside.shut()
                assert outside.read_to_end() == b"and back"
    assert workload.finish().err == ""


CHILD = textwrap.dedent("""
    import http.client, os, sys
    port = int(sys.argv[1])

    def ask(name):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for path in "/ok", "/no":
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            print(name, path, response.status, flush=True)

    ask("command")
    if os.fork() == 0:
        ask("child")
        os.setsid()
        if os.fork() == 0:
            ask("grandchild in a session of its own")
            os._exit(0)
        os.wait()
        os._exit(0)
    os.wait()
    os.execvp("sh", ["sh", "-c", '"$@"; exit $?', "sh", "curl", "-s", "--noproxy", "*", "-o",
                     "/dev/null", "-o", "/dev/null", "-w", "shell %{url_effective} %{http_code}\\n",
                     f"http://127.0.0.1:{port}/ok", f"http://127.0.0.1:{port}/no"])
""")


@pytest.mark.held
def test_child_processes_are_held(sluice, origin):
    """Whoever the command starts, however far away it goes."""
    policy = POLICY.format(http=origin.port, plain=1)
    result = sluice.run("/usr/bin/python3", "-c", CHILD,
                        str(origin.port), policy=policy)
    assert result.code == 0, result.err
    answers = [line.split()[-1] for line in result.out.decode().splitlines()]
    assert answers == ["200", "403"] * 4, result.out
    assert origin.requests() == ["GET /ok"] * 4
    assert result.denied("/no: no rule allows it") == 4


@pytest.mark.held
@pytest.mark.parametrize("options, reported", [([], 1), (["--no-confine"], 3)])
def test_sockets_that_cannot_be_held_are_refused(options, reported, sluice, server):
    """Who is confined may not make raw sockets anyway; who is not is refused them by the hook."""
    workload = sluice.workload(policy_for(server), options=options)
    kinds = [("MPTCP", socket.AF_INET, socket.SOCK_STREAM, 262),
             ("raw", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
             ("raw IPv6", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_UDP)]
    for name, family, kind, protocol in kinds:
        with pytest.raises(OSError) as caught:
            workload.socket(family, kind, protocol).close()
        assert caught.value.errno in (errno.EPERM, errno.EACCES, errno.EPROTONOSUPPORT), name
    result = workload.finish()
    assert result.denied("socket") == reported, result.err


@pytest.mark.held
def test_listener_of_sluice_resets_strangers(sluice, server):
    """Who was not steered gets nothing, from inside the workload or from outside."""
    workload = sluice.workload(policy_for(server))
    with workload.connect(server.address) as client:
        upstream = server.accept()
        exchange(client, upstream)
        listeners = subprocess.run(["ss", "-Htlnp"], capture_output=True, text=True, check=True)
        mine = [line.split()[3] for line in listeners.stdout.splitlines()
                if f"pid={workload.pid}," in line]
        assert mine
        for name in mine:
            host, _, port = name.rpartition(":")
            address = (host.strip("[]"), int(port))
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                with End(socket.create_connection(address, PATIENCE), "stranger") as stranger:
                    stranger.send(GET)
                    raise ConnectionResetError(stranger.read_to_reset())
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            with pytest.raises(OSError):
                workload.connect(address, family).close()
    result = workload.finish()
    assert result.closed("not_steered") == len(mine)


@pytest.mark.held
def test_reused_source_port_inherits_nothing(sluice, server):
    """A connection from outside with the source port of a steered one that has gone: no record."""
    workload = sluice.workload(policy_for(server))
    while True:
        with workload.connect(server.address) as client:
            upstream = server.accept()
            exchange(client, upstream)
            wire = wire_of(client)
            client.reset()
        assert upstream.read_to_reset() == b""
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                again.bind(wire[0])
            except OSError as error:
                assert error.errno == errno.EADDRINUSE
                continue  # somebody was given that port at once
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                again.connect(wire[1])
                stranger = End(again, "stranger")
                stranger.send(GET)
                raise ConnectionResetError(stranger.read_to_reset())
        break
    assert workload.finish().closed("not_steered") == 1


def wire_of(end):
    """Both addresses of a connection as they are on the wire, whatever the application is told."""
    inode = os.fstat(end.fileno()).st_ino
    wire = next(s for s in tcp_sockets() if s.inode == inode)
    return [(socket.inet_ntoa(raw), port) for _, raw, port in (wire.local, wire.remote)]
