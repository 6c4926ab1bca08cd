# SPDX-License-Identifier: Apache-2.0
"""A network namespace with a server that a workload must not reach, one with HTTP rules, a process
beside the workload, and an attacker in it (escape.py)."""
import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys

import procfs
from netns import NetworkNamespace
from procfs import PATIENCE
from servers import RawServer, UdpServer

ESCAPE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "escape.py")
POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: attack
spec:
  endpointSelector: {{}}
  egress:
  - toPorts:
    - ports:
      - port: "{http}"
        protocol: TCP
      rules:
        http:
        - method: GET
          path: /ok
"""
OUTSIDER = """
import ctypes, json, socket, sys
memory = ctypes.create_string_buffer(b"HARMLESS")
sock = socket.socket(type=socket.SOCK_DGRAM)
sock.connect(("127.0.0.1", int(sys.argv[1])))
print(json.dumps({"address": ctypes.addressof(memory), "fd": sock.fileno()}), flush=True)
sys.stdin.readline()
print(memory.value.decode(), flush=True)
"""
# What an attacker mounts or unmounts who did get through is gone with this namespace.
APART = "unshare", "--mount", "--propagation", "private"
WITHOUT_POWERS = {
    "root": ["setpriv", "--inh-caps=-all", "--bounding-set=-all"],
    "nobody": ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"],
}


class Outsider:
    """A process of the same user as the command, with no more powers, outside of the workload. It
    has a socket to the forbidden UDP server, and never uses it."""

    def __init__(self, user, prefix, port):
        self.process = subprocess.Popen(
            [*prefix, *WITHOUT_POWERS[user], sys.executable, "-c", OUTSIDER, str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = {"outsider": self.process.pid, **json.loads(self.process.stdout.readline())}

    def memory(self):
        """What is in its memory now. It then ends."""
        out, _ = self.process.communicate("\n", PATIENCE)
        return out.strip()

    def close(self):
        self.process.kill()
        self.process.communicate()


class Attack:
    def __init__(self, sluice, folder, user):
        self.sluice, self.folder, self.user = sluice, folder, user
        self.options = ["--user", user] if user != "root" else []

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.namespace = stack.enter_context(self._namespace())
            self.namespace.set("net.ipv4.tcp_fastopen", 0x607)
            for name in "route_localnet", "accept_local":  # so that packets made by hand arrive
                self.namespace.set(f"net.ipv4.conf.all.{name}", 1)
            with self.namespace.inside():
                self.tcp = stack.enter_context(RawServer())
                self.http = stack.enter_context(RawServer())
                self.udp = stack.enter_context(UdpServer())
                self.http_udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                self.http_udp.bind(self.http.address)
            self.tcp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
            self.outsider = Outsider(self.user, self.namespace.prefix, self.udp.port)
            stack.callback(self.outsider.close)
            self.policy = POLICY.format(http=self.http.port)
            os.makedirs(os.path.join(self.folder, "tree"), exist_ok=True)
            self.stack = stack.pop_all()
        return self

    def _namespace(self):
        return NetworkNamespace()

    def __exit__(self, *_):
        self.stack.close()

    def facts(self, more):
        trees = [path for path, kind in procfs.mounts() if kind == "cgroup2"]
        return json.dumps({
            "tcp": self.tcp.port, "udp": self.udp.port, "http": self.http.port,
            "folder": self.folder, "tree": trees[0], "confined": True, **self.outsider.facts,
            **more})

    def start(self, name, options=(), facts=None, **how):
        return self.sluice.start(
            "/usr/bin/python3", ESCAPE, name, self.facts(facts or {}), policy=self.policy,
            prefix=[*self.namespace.prefix, *APART], options=[*self.options, *options], **how)

    def run(self, name, options=(), facts=None, **how):
        """Returns what the attacker reports of its tries."""
        result = self.start(name, options, facts, **how).wait(3 * PATIENCE)
        assert result.code == 0, result.err
        return json.loads(result.out.decode().splitlines()[-1])

    def delivered(self):
        """Every byte that came to a server and must not have."""
        got = b""
        for server in self.tcp, self.http:
            while not server.nobody_came():
                with server.accept() as end:
                    got += end.read_rest()
        for udp in self.udp.sock, self.http_udp:
            udp.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    got += udp.recv(1 << 16)
        return got


def landlock_version():
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


def passed(report):
    """The names of the tries that were not refused."""
    return {what for what, how in report.items() if how == "ok"}


class HeldAttack(Attack):
    """The same from a workload of an agent, which lives in the namespace of the attack and is
    started there as a container is: with powers over nothing. The agent is there as well, or in
    NETWORK; then loopback is held."""

    def __init__(self, sluice, folder, user, node, network=None):
        super().__init__(sluice, folder, user)
        self.node, self.network = node, network

    def __enter__(self):
        super().__enter__()
        try:
            self.member = self.node.member("pods/victim", self.namespace)
            entry = {**self.node.workload("pods/victim"), "hold-loopback": bool(self.network)}
            self.agent = self.sluice.agent(
                [entry], {"p.yaml": self.policy},
                prefix=(self.network or self.namespace).prefix).wait_for(self.member)
        except BaseException:
            self.stack.close()
            raise
        return self

    def run(self, name, options=(), facts=None, **how):
        assert not options and not how
        out = self.member.run(*WITHOUT_POWERS[self.user], "/usr/bin/python3", ESCAPE, name,
                              self.facts(facts or {}))
        return json.loads(out.splitlines()[-1])
