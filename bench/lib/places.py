# SPDX-License-Identifier: Apache-2.0
"""Where client and server are: network namespaces of the bench's own, gone with it."""
import signal
import subprocess
import tempfile

from processes import BenchError, Process

# A client that opens connections as fast as it can runs out of ports otherwise. The same for all.
SETTINGS = ("net.ipv4.ip_local_port_range=16384 65535", "net.ipv4.tcp_tw_reuse=1",
            "net.core.somaxconn=65535")
CLIENT_ADDRESS, SERVER_ADDRESS = "192.0.2.1", "192.0.2.2"   # set aside for documentation
PREFIX_LENGTH = 24


class Namespace:
    """Lives as long as a process that sleeps in it, which ends with the bench."""

    def __init__(self):
        settings = " ".join(f"'{setting}'" for setting in SETTINGS)
        self.errors = tempfile.NamedTemporaryFile()
        self.holder = Process(
            ["unshare", "--net", "sh", "-c", f"ip link set lo up && sysctl -q -w {settings}"
             " && echo up && exec sleep infinity"],
            self.errors.name, death_signal=signal.SIGKILL, stdout=subprocess.PIPE)
        self.pid = self.holder.pid
        self.prefix = ["nsenter", f"--net=/proc/{self.pid}/ns/net"]
        if self.holder.process.stdout.readline() != b"up\n":
            self.close()
            raise BenchError(f"cannot make a network namespace: {self.holder.said()}")

    def close(self):
        self.holder.stop(signal.SIGKILL)
        self.errors.close()

    def run(self, *argv):
        subprocess.run([*self.prefix, *argv], check=True)


class Loopback:
    name = "loopback"
    server_address = "127.0.0.1"

    def __enter__(self):
        self.client = self.server = Namespace()
        return self

    def __exit__(self, *_):
        self.client.close()


class Veth:
    """Two namespaces. A proxy that is an arm runs beside the client, as sluice does."""
    name = "veth"
    server_address = SERVER_ADDRESS

    def __enter__(self):
        self.client = Namespace()
        try:
            self.server = Namespace()
            try:
                self._join()
            except BaseException:
                self.server.close()
                raise
        except BaseException:
            self.client.close()
            raise
        return self

    def _join(self):
        subprocess.run(["ip", "link", "add", "bench0", "netns", str(self.client.pid), "type", "veth",
                        "peer", "name", "bench0", "netns", str(self.server.pid)], check=True)
        for end, address in (self.client, CLIENT_ADDRESS), (self.server, SERVER_ADDRESS):
            end.run("ip", "address", "add", f"{address}/{PREFIX_LENGTH}", "dev", "bench0")
            end.run("ip", "link", "set", "bench0", "up")

    def __exit__(self, *_):
        self.server.close()
        self.client.close()


PLACES = {place.name: place for place in (Loopback, Veth)}
