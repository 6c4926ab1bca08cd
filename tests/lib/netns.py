# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of a scene's own, alone or joined by a wire."""
import contextlib
import ctypes
import os
import socket
import subprocess

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class NetworkNamespace:
    """`with NetworkNamespace() as ns: with ns.inside(): sock = socket.socket()`. It lives as long
    as a process that sleeps in it; sockets made inside stay there."""

    def __enter__(self):
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"up\n":
            raise OSError("cannot make a network namespace")
        self.path = f"/proc/{self.holder.pid}/ns/net"
        self.prefix = "nsenter", f"--net={self.path}"
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def set(self, name, value):
        subprocess.run([*self.prefix, "sysctl", "-q", "-w", f"{name}={value}"], check=True)

    def run(self, *command):
        """A command inside, to its end. Returns what it wrote."""
        return subprocess.run([*self.prefix, *command], check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def sh(self, script):
        self.run("sh", "-ec", script)

    def inside(self):
        return _Inside(self.path)


class Wire(NetworkNamespace):
    """A namespace with a switch: whoever joins gets a namespace of its own, and speaks with all
    others as in one network. The address of number N is 10.99.0.N and fd99::N; the switch itself is
    number HOST, as the node of its pods is."""
    HOST = 254

    def __enter__(self):
        super().__enter__()
        self.joined, self.pods = contextlib.ExitStack(), {}
        try:
            self.sh("ip link add switch type bridge; echo 0 > /proc/sys/net/ipv6/conf/switch/"
                     "accept_dad" + self._configured("switch", [self.HOST]))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.joined.close()
        super().__exit__()

    @staticmethod
    def address(number, family=socket.AF_INET):
        return f"10.99.0.{number}" if family == socket.AF_INET else f"fd99::{number}"

    def node_address(self):
        """Of the node itself, for whoever is elsewhere."""
        return self.address(self.HOST)

    def _configured(self, device, numbers):
        return "".join(f"; ip addr add {self.address(n)}/24 dev {device}"
                       f"; ip addr add {self.address(n, socket.AF_INET6)}/64 dev {device} nodad"
                       for n in numbers) + f"; ip link set {device} up"

    def join(self, device, *numbers):
        """A namespace with that device, and with the addresses of all these numbers. It ends with
        the wire, or before."""
        namespace = self.joined.enter_context(NetworkNamespace())
        number = numbers[0]
        self.sh(f"ip link add end{number} type veth peer name {device} "
                 f"netns {namespace.holder.pid}; ip link set end{number} master switch up")
        namespace.sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad"
                      + self._configured(device, numbers))
        return namespace

    def pod(self, number):
        """The namespace with the address of that number alone; made at the first time."""
        if number not in self.pods:
            self.pods[number] = self.join(f"pod{number}", number)
        return self.pods[number]


class Home:
    """A node whose workloads all live in its own namespace, with its own addresses, whatever their
    number."""

    def __init__(self, wire):
        self.wire, self.prefix = wire, wire.prefix

    def pod(self, _):
        return self.wire

    def address(self, _, family=socket.AF_INET):
        return self.wire.address(self.wire.HOST, family)

    @staticmethod
    def node_address():
        return "127.0.0.1"

    def inside(self):
        return self.wire.inside()


class _Inside:
    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
        finally:
            os.close(there)

    def __exit__(self, *_):
        _setns(self.home)
        os.close(self.home)
