# SPDX-License-Identifier: Apache-2.0
"""Every way in which a server of a workload can listen, and what tries to come in by
another way."""
import contextlib
import os
import signal
import socket
import subprocess
import sys
from socket import AF_INET, AF_INET6

import pytest

from policies import document, http, port
from procfs import wait_until
from workload import Server, deny, dial, exchange

pytestmark = pytest.mark.held
POLICY = document("in", ingress=[http(8080, "/ok"), port(8081)])


@pytest.fixture
def server(node, place):
    return node.member("pods/server", place.pod(2))


@pytest.fixture
def agent(sluice, node, lan, server):
    return sluice.agent([node.workload("pods/*")], {"p.yaml": POLICY}, prefix=lan.prefix,
                        log=True).wait_for(server)


def ask(lan, listener, address, number=8080):
    """Somebody comes from another namespace, and is read."""
    with dial(address, number, lan.pod(3)) as client:
        end, who = listener.accept()
        with end:
            assert who[:2] in [client.sock.getsockname()[:2],
                               ("::ffff:" + client.sock.getsockname()[0],
                                client.sock.getsockname()[1])]
            exchange(client, end)
            deny(client)


def refused(lan, address, number=8080):
    with pytest.raises(ConnectionRefusedError):
        dial(address, number, lan.pod(3)).close()


@pytest.mark.parametrize("bound,only,by", [
    ("0.0.0.0", False, "4"), ("::", False, "46"), ("::", True, "6"), ("{v4}", False, "4"),
    ("{v6}", False, "6"), ("::ffff:{v4}", False, "4")])
def test_where_it_is_bound(agent, server, lan, place, bound, only, by):
    v4, v6 = (place.address(2, family) for family in (AF_INET, AF_INET6))
    bound = bound.format(v4=v4, v6=v6)
    with contextlib.ExitStack() as all_:
        listener = all_.enter_context(Only(server, bound, only))
        for address in v4, v6:
            if "6" in by if ":" in address else "4" in by:
                ask(lan, listener, address)
            else:
                refused(lan, address)
        assert listener.nobody_came()
    agent.finish()


class Only(Server):
    """One with a choice of IPV6_V6ONLY."""

    def __init__(self, workload, address, only, number=8080):
        class Chosen:
            @staticmethod
            def socket(family):
                sock = workload.socket(family)
                if family == AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
                return sock
        super().__init__(Chosen, address, number)


def test_groups_and_restarts(agent, server, lan, place):
    """Several sockets at one port, of several processes, and the port taken again and again: who is
    not to come in never does."""
    where = place.address(2)
    for number in range(5):
        with contextlib.ExitStack() as all_:
            group = [all_.enter_context(Server(server, where, 8080, reuse=True)) for _ in range(3)]
            clients = [all_.enter_context(dial(where, 8080, lan.pod(3))) for _ in range(12)]
            for client in clients:
                deny(client)
            wait_until(lambda: not all(one.nobody_came() for one in group), "a client")
        refused(lan, where)
        with Server(server, "0.0.0.0", 8080) as listener:
            ask(lan, listener, where)
        assert agent.process.poll() is None, number
    agent.finish()


def test_other_ways_in(agent, server, lan, place):
    """Another address of the server's, a port that is not named, one that is without rules for
    requests, an address that comes meanwhile, and the port in somebody else's namespace."""
    with Server(server, "::", 8080, AF_INET6) as listener, Server(server, "::", 8082) as closed, \
            Server(server, "::", 8081) as open_:
        for address in place.address(2), place.address(2, AF_INET6):
            refused(lan, address, 8082)
            with dial(address, 8081, lan.pod(3)) as client, open_.accept()[0] as end:
                exchange(client, end, "/anything")
        # Another one in each place, since neighbours remember where it was.
        more, device = (202, "switch") if server.namespace is lan else (203, "pod2")
        server.namespace.run("ip", "addr", "add", f"{lan.address(more)}/24", "dev", device)
        try:
            ask(lan, listener, lan.address(more))
            refused(lan, lan.address(more), 8082)
        finally:
            server.namespace.run("ip", "addr", "del", f"{lan.address(more)}/24", "dev", device)
        with lan.pod(3).inside():
            other = socket.create_server((lan.address(3), 8080))
        with other, dial(lan.address(3), 8080, lan.pod(1)):
            other.accept()[0].close()
        assert closed.nobody_came()
    result = agent.finish()
    assert result.denied(f"connection from 10.99.0.3 to {place.address(2)}:8082 (TCP)") == 1


def test_older_than_the_agent(sluice, node, place, lan, server):
    """Listeners and connections that were there before: found, judged, and ended where no rule
    allows them or where they would have to be read."""
    where = place.address(2)
    with Server(server, "::", 8080, AF_INET6) as read, Server(server, "::", 8081) as alone, \
            Server(server, "::", 8082) as closed:
        old = []
        for listener in read, alone, closed:
            client = dial(where, listener.port, lan.pod(3))
            old.append((client, listener.accept()[0]))
        for client, end in old:
            exchange(client, end, "/anything")
        agent = sluice.agent([node.workload("pods/*")], {"p.yaml": POLICY},
                             prefix=lan.prefix).wait_for(server)
        for number in 0, 2:
            old[number][0].read_to_reset()
            with pytest.raises(ConnectionAbortedError):
                old[number][1].read_rest()
        exchange(*old[1], "/anything")
        ask(lan, read, where)
        refused(lan, where, 8082)
        for pair in old:
            for end in pair:
                end.close()
        assert closed.nobody_came()
        assert agent.status()["older"] == {"listeners": 3, "connections": 3, "ended": 2}
    wait_until(lambda: b"3 listening sockets, 3 connections; 2 had to end" in agent.read("err"),
               "a report")
    agent.finish()


# Systemd in small: the socket that it makes is the descriptor 3 of the server.
ACTIVATE = """import os, socket, sys
family, address, number = socket.AddressFamily(int(sys.argv[1])), sys.argv[2], int(sys.argv[3])
server = socket.create_server((address, number), family=family)
print("ready", flush=True)
sys.stdin.readline()
with open(sys.argv[4] + "/cgroup.procs", "w") as procs:
    procs.write("0")
if server.fileno() != 3:
    os.dup2(server.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-c", sys.argv[5]])
"""
SERVE = """import socket
server = socket.socket(fileno=3)
while True:
    client, _ = server.accept()
    client.sendall(b"activated")
    client.close()
"""


@pytest.mark.parametrize("family", [AF_INET, AF_INET6], ids=["v4", "v6"])
def test_made_outside_and_passed_in(sluice, node, place, lan, family):
    """A socket-activated server is not held, and that is said, of each once."""
    address = place.address(2, family)
    what = f"{f'[{address}]' if family == AF_INET6 else address}:8080"
    launcher, member = (node.member(name, place.pod(2)) for name in ("free", "pods/activated"))
    agent = sluice.agent([node.workload("pods/*")], {"p.yaml": POLICY}, prefix=lan.prefix,
                         log=True).wait_for(member)
    assert agent.status()["workloads"][0]["not_held"] == []
    started = launcher.start([sys.executable, "-c", ACTIVATE, str(int(family)), address, "8080",
                              member.path, SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout.readline() == b"ready\n"
    started.stdin.write(b"\n")
    started.stdin.flush()
    with dial(address, 8080, lan.pod(3)) as client:
        assert client.read_rest() == b"activated"
    agent.signal(signal.SIGHUP)  # or it is found within ten seconds
    workload, = agent.wait_until(
        lambda status: [w for w in status["workloads"] if w["not_held"]], "a report")
    assert [(f["address"], f["pid"]) for f in workload["not_held"]] == [(what, started.pid)]
    assert workload["problem"].startswith(f"{what} of process {started.pid} ")
    shown = sluice.command("status", "--socket", os.path.join(agent.config["state"], "status"))
    assert f"problem: {workload['name']}: {what} of process {started.pid} " in shown.stdout
    result = agent.finish()
    assert sum(what in line for line in result.err.splitlines()) == 1
    record, = [r for r in result.log if "made in another cgroup" in r.get("reason", "")]
    assert record["destination"]["port"] == 8080 and record["process"]["pid"] == started.pid
