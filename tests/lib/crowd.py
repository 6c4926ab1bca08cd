# SPDX-License-Identifier: Apache-2.0
"""Tens of thousands of silent connections: more than one process may have descriptors for, and more
than one source address has ports for. They live in processes of their own, forked from the scene.
"""
import contextlib
import multiprocessing
import resource
import socket

IP_BIND_ADDRESS_NO_PORT = 24
PORTS = 20000  # that may surely be used of each source address
RESERVE = 1000  # descriptors of a process for other things


def per_process():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVE


def _stands(sock):
    """Neither reset nor ended."""
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _open(workload, address, first, count, pipe):
    held, spare = [], []
    for number in range(first, first + count):
        if not spare:
            spare = workload.sockets(min(1000, first + count - number))
        sock = spare.pop()
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        if address[0].startswith("127."):
            sock.bind((f"127.1.0.{1 + number // PORTS}", 0))
        with contextlib.suppress(OSError):
            sock.connect(address)
        held.append(sock)
    pipe.send(None)
    while True:                 # until it is killed
        pipe.recv()
        pipe.send(sum(_stands(sock) for sock in held))


def _accept(listener, pipe):
    held = []
    listener.settimeout(0.1)
    while not pipe.poll():
        with contextlib.suppress(TimeoutError):
            while len(held) < per_process():
                held.append(listener.accept()[0])
    pipe.recv()
    pipe.send(len(held))
    pipe.recv()


class Crowd:
    """COUNT connections of WORKLOAD to the listening socket SERVER, at which nobody speaks. A
    context manager."""

    def __init__(self, workload, server, count):
        self.workload, self.server, self.count = workload, server, count
        self.clients, self.servers, self.processes = [], [], []

    def _start(self, target, *arguments):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=target, args=(*arguments, theirs), daemon=True)
        process.start()
        theirs.close()
        self.processes.append(process)
        return ours

    def __enter__(self):
        for first in range(0, self.count, per_process()):
            count = min(per_process(), self.count - first)
            self.servers.append(self._start(_accept, self.server))
            self.clients.append(self._start(_open, self.workload, self.server.getsockname(), first,
                                            count))
            self.clients[-1].recv()  # one after the other: they share the workload's control
        return self

    @staticmethod
    def _sum(pipes):
        for pipe in pipes:
            pipe.send(None)
        return sum(pipe.recv() for pipe in pipes)

    def standing(self):
        """How many were neither reset nor ended, as their clients see it; who is refused may
        see it a moment later."""
        return self._sum(self.clients)

    def accepted(self):
        """How many reached the server. Ask once."""
        return self._sum(self.servers)

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.join()
