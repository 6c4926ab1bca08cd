# SPDX-License-Identifier: Apache-2.0
"""One agent holds many workloads, in both directions: what
passes, who sees whom, and whom it leaves alone."""
import contextlib
import os
import socket
from socket import AF_INET, AF_INET6

import pytest

from ends import End
from node import ENTER
from places import at
from policies import app, document, http, port
from web import NginxWho, curl, grpc_status
from workload import Server, deny, dial, exchange

pytestmark = pytest.mark.held
FAMILIES = pytest.mark.parametrize("family", [AF_INET, AF_INET6], ids=["v4", "v6"])


def cidr(lan, number, key="fromCIDR"):
    """A peer for the rules of policies.py."""
    return f"{key}: ['{lan.address(number)}', '{lan.address(number, AF_INET6)}'], "


def url(lan, number, at, family, path):
    address = lan.address(number, family)
    return f"http://{f'[{address}]' if family == AF_INET6 else address}:{at}{path}"


@pytest.fixture
def pair(sluice, node, lan, place):
    """A client that is held on its way out, a server that is held on what comes in, and one that is
    nobody's workload, elsewhere."""
    client, server = (node.member(f"pods/{name}", place.pod(number))
                      for name, number in (("client", 1), ("server", 2)))
    text = document("out", app("client"), egress=[
        http(number, "/ok.*", "/out", peer=cidr(place, 2, "toCIDR")) for number in (8080, 8081)])
    text += document("in", app("server"), ingress=[
        *(http(number, "/ok.*", "/in", peer=cidr(place, 1)) for number in (8080, 8081)),
        http(8082, "/ok", peer=cidr(lan, 3)), port(8083, peer=cidr(lan, 3))])
    agent = sluice.agent([node.workload("pods/client", app="client"),
                          node.workload("pods/server", app="server")],
                         {"pair.yaml": text}, prefix=lan.prefix, log=True)
    yield agent.wait_for(client, server), client, server


@at("home", "away")
def test_both_directions_at_once(pair, lan, place, folder):
    """A real server and real clients, by both families and by HTTP/1, HTTP/2 and gRPC."""
    agent, client, server = pair
    nginx = NginxWho(folder, "[::]:8080 ipv6only=off", "[::]:8081 ipv6only=off http2",
                     "[::]:8082 ipv6only=off")
    server.start(nginx.command)
    nginx.wait()
    want = []
    for family in AF_INET, AF_INET6:
        mapped = "::ffff:" if family == AF_INET else ""
        for at, option, protocol in ((8080, "--http1.1", "HTTP/1.1"),
                                     (8081, "--http2-prior-knowledge", "HTTP/2.0")):
            statuses = [curl(option, url(place, 2, at, family, path), run=client.run)[0]
                        for path in ("/ok", "/out", "/in", "/no")]
            assert statuses == [200, 403, 403, 403]
            want.append(f"{mapped}{place.address(1, family)} {protocol} /ok 200")
        assert grpc_status(url(place, 2, 8081, family, "/doors.Manager/Open"), client.run) == 7
        # One whom nobody holds: the server sees its port as well.
        status, number = curl(url(place, 2, 8082, family, "/ok"), run=lan.pod(3).run)
        assert status == 200
        want.append(f"{mapped}{lan.address(3, family)} {number} HTTP/1.1 /ok 200")
        for at in 8080, 8081:
            with pytest.raises(ConnectionRefusedError):
                dial(place.address(2, family), at, lan.pod(3))
    seen = [line.split(" ") for line in nginx.seen()]
    assert [" ".join(s if s[0].endswith((lan.address(3), lan.address(3, AF_INET6)))
                     else s[:1] + s[2:]) for s in seen] == want
    result = agent.finish()
    for path, count in (("/in", 4), ("/out", 4), ("/no", 4), ("/doors.Manager/Open", 2)):
        assert result.denied(path) == count, result.denials
    assert result.denied("connection from") == 4
    names = {(r["direction"], r["verdict"]) for r in result.log if r["verdict"] == "DROPPED"}
    assert names == {("egress", "DROPPED"), ("ingress", "DROPPED")}


@FAMILIES
def test_both_see_each_other(pair, lan, place, family):
    """Through two legs; and without any where the policy has no rules for requests."""
    agent, client, server = pair
    where = place.address(2, family), 8080
    with Server(server, "::", 8080, AF_INET6) as listener, client.connect(where, family) as here:
        end, who = listener.accept()
        with end:
            assert who[0].removeprefix("::ffff:") == place.address(1, family)
            assert end.sock.getsockname()[0].removeprefix("::ffff:") == where[0]
            assert here.sock.getpeername()[:2] == where
            exchange(here, end)
            assert here.sock.getsockname()[0] == place.address(1, family)
            deny(here, "/in")
            deny(here, "/out")
            exchange(here, end)
    for number, path in (8082, "/ok"), (8083, "/anything"):
        with Server(server, place.address(2, family), number) as listener, \
                dial(place.address(2, family), number, lan.pod(3)) as here:
            end, who = listener.accept()
            with end:
                assert who[:2] == here.sock.getsockname()[:2]
                assert here.sock.getpeername()[:2] == (place.address(2, family), number)
                exchange(here, end, path)
    agent.finish()


def test_itself_and_its_host(sluice, node, lan):
    """Loopback of a namespace of its own, and its host, are left alone, unless they are to be
    held; which ends no request that sluice carries."""
    member = node.member("pods/self", lan.pod(1))
    policy = {"p.yaml": document("in", ingress=[http(8082, "/ok.*", peer=cidr(lan, 3))],
                                 egress=[])}
    entry = node.workload("pods/*")
    agent = sluice.agent([entry], policy, prefix=lan.prefix).wait_for(member)
    own = lan.address(1)
    with Server(member, "0.0.0.0") as server:
        for namespace, address in ((lan.pod(1), "127.0.0.1"), (lan.pod(1), own), (lan, own)):
            sock = member.connect((address, server.port)) if namespace is not lan else \
                dial(own, server.port, lan)
            with sock as here, server.accept()[0] as end:
                exchange(here, end, "/anything")
        with pytest.raises(ConnectionRefusedError):
            dial(own, server.port, lan.pod(3))
        with Server(member, own, 8082) as carrier, dial(own, 8082, lan.pod(3)) as here, \
                carrier.accept()[0] as end:
            exchange(here, end)
            agent.change(workloads=[{**entry, "hold-loopback": True, "hold-host": True}])
            exchange(here, end)
        for address in "127.0.0.1", own:
            with pytest.raises(PermissionError):
                member.connect((address, server.port))
        with pytest.raises(ConnectionRefusedError):
            dial(own, server.port, lan)
        assert server.nobody_came()
    agent.finish()


def test_peers(sluice, node, lan):
    """Other workloads are known by the labels that the configuration has for addresses."""
    client = node.member("client", lan.pod(1))
    text = document("out", egress=[
        port(8080, peer="toEndpoints: [{matchLabels: {app: db}}], ")])
    peers = [{"labels": {"app": name}, "addresses": [lan.address(number)]}
             for name, number in (("db", 2), ("other", 3))]
    agent = sluice.agent([node.workload("client")], {"p.yaml": text}, prefix=lan.prefix,
                         peers=peers).wait_for(client)
    with contextlib.ExitStack() as all_:
        for number in 2, 3:
            with lan.pod(number).inside():
                all_.enter_context(socket.create_server((lan.address(number), 8080)))
        client.connect((lan.address(2), 8080)).close()
        with pytest.raises(PermissionError):
            client.connect((lan.address(3), 8080))
        peers[0]["addresses"], peers[1]["addresses"] = peers[1]["addresses"], peers[0]["addresses"]
        agent.change(peers=peers)
        client.connect((lan.address(3), 8080)).close()
        with pytest.raises(PermissionError):
            client.connect((lan.address(2), 8080))
    agent.finish()


# ---- who shares the node ----

def test_others_on_the_node(sluice, node, lan):
    """A unit in the host's own namespace, a `sluice run` beside it and one within it, and who is
    in no workload: each is held to its own policy and to no other. The unit has to let the run
    within it come to its own listener."""
    unit, free = node.member("units/web", lan), node.member("free", lan)
    there = lan.address(lan.HOST)
    agent = sluice.agent([node.workload("units/*")], {"p.yaml": document("unit", egress=[
        http(8080, "/ok", "/unit"), port(8081), "- {toCIDR: [127.0.0.1/32]}"])},
        prefix=lan.prefix).wait_for(unit)
    run_policy = document("run", egress=[http(8080, "/ok", "/run"), port(8081)])
    beside = sluice.workload(run_policy, prefix=[*ENTER, free.path, *lan.prefix])
    within = sluice.workload(run_policy, prefix=[*ENTER, unit.path, *lan.prefix])
    with lan.inside():
        listener, other = (socket.create_server((there, number)) for number in (8080, 8081))
    with listener, other:
        allowed = {unit: {"/ok", "/unit"}, beside: {"/ok", "/run"}, within: {"/ok"}, free: None}
        for who, paths in allowed.items():
            with who.connect((there, 8080)) as here, End(listener.accept()[0], "server") as end:
                for path in "/ok", "/unit", "/run":
                    if paths is None or path in paths:
                        exchange(here, end, path)
                    else:
                        deny(here, path)
            with who.connect((there, 8081)):
                other.accept()[0].close()
    within.finish()
    beside.finish()
    agent.finish()


def test_it_does_not_hold_itself(sluice, node, lan):
    """Also where its own cgroup is one of those that it is to hold."""
    own = node.tree.make("all/agent")
    member = node.member("all/web", lan)
    agent = sluice.agent([node.workload("all/*")],
                         {"p.yaml": document("p", egress=[http(8080, "/ok")])},
                         prefix=[*ENTER, own, *lan.prefix]).wait_for(member)
    assert [w["cgroup"] for w in agent.status()["workloads"]] == [member.cgroup]
    with lan.pod(2).inside():
        listener = socket.create_server((lan.address(2), 8080))
    with listener, member.connect((lan.address(2), 8080)) as here, \
            End(listener.accept()[0], "server") as end:
        exchange(here, end)
        deny(here)
    agent.finish()


# ---- what it says of itself ----

def test_status(pair, lan, place, sluice):
    agent, client, server = pair
    with Server(server, "::", 8080) as listener, \
            client.connect((place.address(2), 8080)) as here:
        with listener.accept()[0] as end:
            exchange(here, end)
            deny(here, "/in")
            deny(here, "/out")
            status = agent.status()
    workloads = {w["name"]: w for w in status["workloads"]}
    assert workloads.keys() == {"pods-client", "pods-server"}
    out, in_ = workloads["pods-client"], workloads["pods-server"]
    assert (out["egress"], out["ingress"], in_["egress"], in_["ingress"]) == (1, 0, 0, 1)
    assert (out["policies"], in_["policies"]) == (["out"], ["in"])
    assert out["cgroup"] == client.cgroup and "app=client" in out["labels"][0]
    for workload in out, in_:
        assert workload["enforced"] and workload["populated"] and workload["connections"] == 1
        assert workload["requests_denied"] == 1
        assert [d["count"] for d in workload["denials"]] == [1]
    assert len(status["network_namespaces"]) == sum(m.namespace is not lan for m in (client, server))
    assert status["hooks"]
    assert status["counters"]["conn.open"] == 2 and status["revision"]["error"] is None
    path = os.path.join(agent.config["state"], "status")
    shown = sluice.command("status", "--socket", path)
    assert shown.returncode == 0 and not shown.stderr
    for text in "pods-client", "pods-server", client.cgroup, "egress", "ingress":
        assert text in shown.stdout
    assert sluice.command("status", "--json", "--socket", path).stdout.startswith("{")
    stranger = sluice.command("status", "--socket", path, user=65534)
    assert stranger.returncode == 1 and "cannot ask" in stranger.stderr
    agent.finish()
    assert "is `sluice agent` running?" in sluice.command("status", "--socket", path).stderr


@pytest.mark.parametrize("config,said", [
    ("workloads: [{name: a}]", "agent.yaml:1:13: a workload needs a \"cgroup\""),
    ("workloads: []\npolicys: /x", "agent.yaml:2:1: "),
    ("workloads: [{name: a, cgroup: x/y}]", "agent.yaml:1:31: "),
])
def test_configuration_with_errors(sluice, folder, config, said):
    path = os.path.join(folder, "agent.yaml")
    with open(path, "w") as file:
        file.write(config)
    done = sluice.command("agent", "--config", path)
    assert done.returncode != 0 and said in done.stderr, done.stderr
