# SPDX-License-Identifier: Apache-2.0
"""Every way in which a server of a workload can listen, and what tries to come in by
another way."""
import contextlib
import socket
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
