# SPDX-License-Identifier: Apache-2.0
"""A network namespace of a scene's own, with a loopback of its own settings."""
import ctypes
import os
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

    def inside(self):
        return _Inside(self.path)


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
