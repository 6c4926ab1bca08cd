# SPDX-License-Identifier: Apache-2.0
"""A workload of an agent that means to get around its policy, does not, in whatever network namespace
it lives; nor does somebody else by way of what the agent has made there."""
import contextlib
import os
import re
import select
import socket

import pytest

from attack import HeldAttack
from ends import End
from netns import NetworkNamespace
from policies import document, http, port
from procfs import wait_until
from servers import listen
from test_bypass import SOCKETS
from workload import Server, deny, dial, exchange, get, unless_refused

pytestmark = pytest.mark.held
# Those that need no namespace or confinement of `sluice run`'s. AF_PACKET: docs/agent.md.
ATTEMPTS = [name for name in SOCKETS if name != "packet"]


@pytest.mark.parametrize("user,apart", [
    ("root", True), ("nobody", False), pytest.param("root", False, marks=pytest.mark.long),
    pytest.param("nobody", True, marks=pytest.mark.long)])
def test_nothing_arrives(sluice, folder, node, lan, user, apart):
    """Every attempt with sockets, by TCP and by UDP, one after the other; APART: the agent is in
    another network namespace."""
    with HeldAttack(sluice, folder, user, node, lan if apart else None) as attack:
        for name in ATTEMPTS:
            report = attack.run(name)
            assert attack.delivered() == b"", (name, report)
            assert "ok" not in [report.get("deliver by TCP"), report.get("deliver by UDP")], report
        attack.agent.finish()


def test_the_attempts_are_real(sluice, folder, node):
    """They arrive when nobody holds the workload."""
    with HeldAttack(sluice, folder, "nobody", node) as attack:
        attack.agent.finish()
        for name in "names", "sources", "fast_open":
            report = attack.run(name)
            assert b"SECRET" in attack.delivered(), (name, report)


def listening(namespace):
    """[(address, port)] of every TCP listener in there."""
    return [(at.strip("[]"), int(number)) for at, number in re.findall(
        r"^LISTEN\s+\d+\s+\d+\s+(\S+):(\d+)\s", namespace.run("ss", "-Hltn"), re.M)]


def test_listeners_of_the_agent(sluice, node, lan):
    """They are of no use to who was not steered: another workload, a process of no workload in that
    namespace, the host, another pod."""
    one, two = (node.member(f"pods/{name}", lan.pod(1)) for name in ("one", "two"))
    text = document("p", egress=[http(8080, "/ok")], ingress=[http(8080, "/ok")])
    agent = sluice.agent([{**node.workload("pods/*"), "hold-loopback": True}], {"p.yaml": text},
                         prefix=lan.prefix).wait_for(one, two)
    with Server(one, "::", 8080, socket.AF_INET6) as server:
        ours = [at for at in listening(lan.pod(1)) if at[1] != 8080]
        assert ours, "no listeners"
        for address, number in ours:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            for who in one, two:
                with pytest.raises(PermissionError):
                    who.connect((address, number), family)
            with contextlib.suppress(ConnectionError), \
                    dial(address, number, lan.pod(1)) as client:
                client.send(get("/no"))
                assert client.read_rest() == b""
            for outside in lan, lan.pod(3):
                with pytest.raises(ConnectionRefusedError):
                    dial(lan.address(1, family), number, outside)
        assert server.nobody_came()
    agent.finish()


def test_addresses_that_are_added(sluice, node, lan):
    """To the workload's own namespace while it runs: those are its own, and held no less than the
    old ones where its own are held; what is beyond them is never its own."""
    member = node.member("pods/one", lan.pod(1))
    text = document("p", egress=[http(8080, "/ok"), port(8081, peer="toEntities: [host], ")])
    entry = node.workload("pods/*")
    agent = sluice.agent([{**entry, "hold-loopback": True}], {"p.yaml": text},
                         prefix=lan.prefix).wait_for(member)
    space = lan.pod(1)
    space.run("ip", "addr", "add", "10.98.0.1/24", "dev", "pod1")
    try:
        with space.inside():
            own = listen("10.98.0.1", 8082)
        with lan.inside():
            host = listen(lan.address(lan.HOST), 8081)
        with lan.pod(3).inside():
            other = listen(lan.address(3), 8081)
        with own, host, other:
            with pytest.raises(PermissionError):
                member.connect(("10.98.0.1", 8082))
            member.connect(host.getsockname()).close()
            host.accept()[0].close()
            with pytest.raises(PermissionError):  # an address of its own is not the host's
                member.connect(("10.98.0.1", 8081))
            with pytest.raises(PermissionError):
                member.connect(other.getsockname())
            agent.change(workloads=[entry])
            # The agent looks at the addresses of others every 100 ms.
            here = wait_until(lambda: unless_refused(member, ("10.98.0.1", 8082)), "it is its own")
            with here, End(own.accept()[0]) as end:
                exchange(here, end, "/anything")
    finally:
        space.run("ip", "addr", "del", "10.98.0.1/24", "dev", "pod1")
    agent.finish()


def test_namespaces_that_nobody_knows(sluice, node, lan):
    """A process of the workload in a namespace that has just been made: what it connects to is
    refused until it can be read there, and never passes unread."""
    first = node.member("pods/one", lan.pod(1))
    agent = sluice.agent([{**node.workload("pods/*"), "hold-loopback": True}],
                         {"p.yaml": document("p", egress=[http(8080, "/ok")])}, prefix=lan.prefix)
    agent.wait_until(lambda status: status["workloads"], "a workload")
    for _ in range(5):
        with NetworkNamespace() as fresh:
            with fresh.inside():
                server = listen("127.0.0.1", 8080)
            member = node.member("pods/one", fresh)
            def connected(member=member):
                with contextlib.suppress(PermissionError):
                    return member.connect(("127.0.0.1", 8080))
            with server, wait_until(connected, "it is held there") as client, \
                    End(server.accept()[0]) as end:
                deny(client)
                exchange(client, end)
            member.end()
            node.members.remove(member)
    node.remove(first)
    agent.wait_until(lambda status: not status["network_namespaces"], "they are forgotten")
    agent.finish()


@pytest.mark.long
def test_too_many_namespaces(sluice, node, lan):
    """One workload does not take all of them; what has to be read is refused in the rest."""
    agent = sluice.agent([{**node.workload("pods/*"), "hold-loopback": True}],
                         {"p.yaml": document("p", egress=[http(8080, "/ok")])}, prefix=lan.prefix)
    with contextlib.ExitStack() as spaces:
        for _ in range(40):
            node.member("pods/greedy", spaces.enter_context(NetworkNamespace()))
        agent.wait_until(lambda status: len(status["network_namespaces"]) == 32, "as many as may be")
        modest = node.member("pods/modest", lan.pod(1))
        agent.wait_until(lambda status: len(status["network_namespaces"]) == 33, "another one's")
        with lan.pod(3).inside():
            server = listen(lan.address(3), 8080)
        with server:
            refused = 0
            for member in node.members[:-1]:
                try:
                    member.connect((lan.address(3), 8080)).close()
                except PermissionError:
                    refused += 1
                except OSError:
                    pass  # no way there
            assert refused == 8
            with modest.connect((lan.address(3), 8080)) as here, End(server.accept()[0]) as end:
                exchange(here, end)
                deny(here)
        for member in node.members:
            member.end()
    result = agent.finish()
    assert "too many" in result.err


def test_routes_that_are_changed(sluice, node, lan):
    """By who has the power in the workload's own namespace: an address that was its own, and so left
    alone, leads out of it from one moment to the next."""
    member, space = node.member("pods/one", lan.pod(1)), lan.pod(1)
    agent = sluice.agent([node.workload("pods/*")], {"p.yaml": document("p", egress=[])},
                         prefix=lan.prefix).wait_for(member)
    where = lan.address(3), 8085
    with lan.pod(3).inside():
        server = listen(*where)
        udp = socket.socket(type=socket.SOCK_DGRAM)
    with server, udp:
        udp.bind(where)
        space.sh(f"ip addr add {where[0]}/32 dev lo; ip rule add pref 9 lookup local; "
                 f"ip route replace {where[0]}/32 dev pod1 table 77")
        try:
            wait_until(lambda: refused_by_nobody(member, where), "it is its own")
            space.sh("ip rule add pref 5 lookup 77; ip rule del pref 0")
            sock = member.socket()
            sock.settimeout(0.2)
            with sock, pytest.raises(OSError):
                sock.connect(where)
            with member.socket(kind=socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
                sock.sendto(b"SECRET", where)
            assert not select.select([server, udp], [], [], 0.1)[0]
        finally:
            space.sh("ip rule add pref 0 lookup local; ip rule del pref 5; ip rule del pref 9; "
                     f"ip addr del {where[0]}/32 dev lo; ip route flush table 77")
    agent.finish()


def refused_by_nobody(member, where):
    """Nobody listens there, and sluice is not asked."""
    try:
        member.connect(where).close()
    except ConnectionRefusedError:
        return True
    except PermissionError:
        return False
    raise AssertionError("it is had")


def test_sockets_of_another_namespace(sluice, node, lan):
    """A process that goes to another namespace with a socket that it has: the socket is where it was
    made, whoever connects it from wherever."""
    away, home = node.member("pods/one", lan.pod(1)), node.member("pods/two", lan)
    agent = sluice.agent([node.workload("pods/*")],
                         {"p.yaml": document("p", egress=[http(8080, "/ok")])},
                         prefix=lan.prefix).wait_for(away, home)
    with lan.pod(3).inside():
        server, closed = (listen(lan.address(3), number) for number in (8080, 8086))
    with server, closed:
        for member, space in (away, lan), (home, lan.pod(1)), (away, lan.pod(3)):
            with space.inside():
                client = member.connect((lan.address(3), 8080))
                with pytest.raises(PermissionError):
                    member.connect(closed.getsockname())
            with client, End(server.accept()[0], "server") as end:
                exchange(client, end)
                deny(client)
        assert not select.select([closed], [], [], 0)[0]
    agent.finish()


def test_sockets_stay_with_their_cgroup(sluice, node, lan):
    """A process that leaves takes the policy along with its sockets; one that was moved in is held
    as to what it makes there."""
    inside, outside = node.member("pods/one", lan), node.member("free", lan)
    agent = sluice.agent([node.workload("pods/*")],
                         {"p.yaml": document("p", egress=[http(8080, "/ok")])},
                         prefix=lan.prefix).wait_for(inside)
    where = lan.address(3), 8081
    with lan.pod(3).inside():
        server = listen(*where)
    with server:
        brought = inside.socket()
        for member, path in (inside, outside.path), (outside, inside.path):
            pid = member.processes[0].pid
            with open(os.path.join(path, "cgroup.procs"), "w") as procs:
                procs.write(str(pid))
        with brought, pytest.raises(PermissionError):
            brought.connect(where)
        with pytest.raises(PermissionError):
            outside.connect(where)
        inside.connect(where).close()
        server.accept()[0].close()
    agent.finish()
