# SPDX-License-Identifier: Apache-2.0
"""Clients and servers of a workload, in the hands of a scene that speaks for both ends."""
import contextlib
import os
import select
import socket
import sys
from socket import AF_INET, AF_INET6, SOCK_STREAM

import puppet
from ends import End, check_denied
from procfs import PATIENCE

PUPPET = os.path.join(os.path.dirname(os.path.realpath(__file__)), "puppet.py")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def family_of(address):
    return AF_INET6 if ":" in address else AF_INET


def meet(path, start):
    """START(command) starts a puppet, wherever, and returns its process or that of whoever starts
    it. Returns the line to the puppet, which is made by way of PATH."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.listen()
        process = start([sys.executable, PUPPET, path])
        pidfd = os.pidfd_open(process.pid)
        try:
            ready, _, _ = select.select([listener, pidfd], [], [], PATIENCE)
        finally:
            os.close(pidfd)
            os.unlink(path)
        assert listener in ready, f"no puppet is started: exit code {process.poll()}"
        control, _ = listener.accept()
        control.settimeout(PATIENCE)
        return control


class Sockets:
    """Whoever has a puppet: .control is the line to it."""
    control = None

    def sockets(self, count, family=AF_INET, kind=SOCK_STREAM, protocol=0):
        return puppet.ask(self.control, family, kind, protocol, count)

    def socket(self, family=AF_INET, kind=SOCK_STREAM, protocol=0):
        return self.sockets(1, family, kind, protocol)[0]

    def connect(self, address, family=AF_INET):
        """A connection of the workload to ADDRESS."""
        sock = self.socket(family)
        try:
            sock.settimeout(PATIENCE)
            sock.connect(address[:2])
        except BaseException:
            sock.close()
            raise
        return End(sock, "client")


class Server:
    """A listening socket of the workload."""

    def __init__(self, workload, address="127.0.0.1", number=0, family=None, reuse=False):
        self.family = family or family_of(address)
        self.sock = workload.socket(self.family)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.sock.bind((address, number))
        self.sock.listen()
        self.sock.settimeout(PATIENCE)
        self.port = self.sock.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # also where the workload has a copy of it still
        self.sock.close()

    def accept(self):
        """The server's end of the next connection, and who accept() says it is."""
        sock, who = self.sock.accept()
        return End(sock, "server"), who

    def nobody_came(self):
        return not select.select([self.sock], [], [], 0)[0]


def dial(address, number, namespace=None, source=None):
    """A connection of nobody's workload: from the scene's own network namespace or another one, and
    from an address of choice."""
    with namespace.inside() if namespace else contextlib.nullcontext():
        sock = socket.socket(family_of(address))
    sock.settimeout(PATIENCE)
    try:
        if source:
            sock.bind((source, 0))
        sock.connect((address, number))
    except BaseException:
        sock.close()
        raise
    return End(sock, "client")


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def exchange(client, server, path="/ok"):
    """One request that is allowed, and its answer, byte by byte."""
    client.send(get(path))
    assert server.read_head() == get(path)
    server.send(OK)
    assert client.read_response().raw == OK


def deny(client, path="/no"):
    client.send(get(path))
    check_denied(client.read_response())


def unless_refused(member, where):
    """For wait_until(): a connection, or None, as while a namespace or an address is not known yet."""
    with contextlib.suppress(PermissionError):
        return member.connect(where)
    return None
