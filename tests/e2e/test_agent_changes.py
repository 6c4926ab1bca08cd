# SPDX-License-Identifier: Apache-2.0
"""Workloads, labels and policies come, change and go while traffic flows: no verdict is wrong, no
request that is allowed is lost, and nothing is left of what has gone."""
import contextlib
import re
import socket
import time

import pytest

from crowded import Crowded
from ends import End
from h2_frames import END_HEADERS, Frames, OK, RST_STREAM, greet, headers, post
from netns import NetworkNamespace
from places import at
from policies import app, document, http, port
from procfs import SANITIZED, descriptors, wait_until
from servers import listen
from steady import Answering, Steady, Truth
from workload import Server, deny, dial

pytestmark = pytest.mark.held
ALL = "/both", "/a", "/b", "/never"
STREAMS = 20
RETRY_S = 1.5     # in which an agent has tried again what it could not do
AT_ONCE_MS = 500 if SANITIZED else 100


def rules(direction, *paths, name="p", selector="{}"):
    return document(name, selector, **{direction: [http(8080, *paths), port(8081)]})


@pytest.fixture
def outside(place):
    """A server that is nobody's workload."""
    with place.pod(3).inside():
        sock = listen(place.address(3), 8080)
    with sock, Answering(sock) as server:
        yield server


class Pair:
    """Somebody who asks and a server that answers, one of them a workload."""

    def __init__(self, node, place, direction, stack):
        self.place, self.direction = place, direction
        self.member = node.member("pods/held", place.pod(1))
        number = 1 if direction == "ingress" else 3
        self.where = place.address(number), 8080
        self.stack = stack

    def listen(self):
        """Once the agent is there: the server's socket."""
        if self.direction == "ingress":
            self.listener = self.stack.enter_context(Server(self.member, "::", 8080)).sock
        else:
            with self.place.pod(3).inside():
                self.listener = self.stack.enter_context(listen(self.where[0], 8080))
        return self.listener

    def connect(self, address=None):
        address = address or self.where
        if self.direction == "egress":
            return self.member.connect(address)
        return dial(*address, self.place.pod(3))


@pytest.fixture(params=["egress", "ingress"])
def pair(request, node, place):
    with contextlib.ExitStack() as stack:
        yield Pair(node, place, request.param, stack)


def change_often(agent, pair, steadies, truth, rounds):
    """The file of the policy, and then the labels by which one of two policies is selected."""
    for number in range(rounds):
        paths = "/both", ("/b", "/a")[number % 2]
        with truth.change(*paths):
            agent.change({"p.yaml": rules(pair.direction, *paths)})
        for steady in steadies:
            steady.wait()
    with truth.change("/both", "/a"):
        agent.change({"p.yaml": rules(pair.direction, "/both", "/a", name="one", selector=app("one"))
                      + rules(pair.direction, "/both", "/b", name="two", selector=app("two"))},
                     workloads=[{**agent.config["workloads"][0], "labels": {"app": "one"}}])
    for number in range(rounds):
        name = ("two", "one")[number % 2]
        with truth.change("/both", "/b" if name == "two" else "/a"):
            agent.change(workloads=[{**agent.config["workloads"][0], "labels": {"app": name}}])
        for steady in steadies:
            steady.wait()


@pytest.mark.parametrize("count,rounds", [
    (6, 4), pytest.param(100, 30, marks=pytest.mark.long)], ids=["few", "many"])
def test_under_load(sluice, node, place, pair, count, rounds):
    """Policies and labels, with connections that are kept."""
    truth = Truth("/both", "/a")
    agent = sluice.agent([node.workload("pods/*")],
                         {"p.yaml": rules(pair.direction, "/both", "/a")},
                         prefix=place.prefix).wait_for(pair.member)
    with Answering(pair.listen()) as server, Steady(pair.connect, truth, ALL, count // 2) as one, \
            Steady(pair.connect, truth, ALL, count - count // 2) as two:
        change_often(agent, pair, [one, two], truth, rounds)
        for steady in one, two:
            assert not steady.wrong, steady.wrong[:5]
            assert steady.answers[200] > rounds and steady.answers[403] > rounds
        assert "/never" not in server.paths
        status = agent.status()
        assert status["counters"]["conn.open"] == count
    agent.finish()


def test_streams_that_are_denied_now_end(sluice, node, place, pair):
    """All of them, within 100 ms of the file's change; their neighbours on the connection live."""
    agent = sluice.agent([node.workload("pods/*")], {"p.yaml": rules(pair.direction, "/.*")},
                         prefix=place.prefix).wait_for(pair.member)
    took = []
    pair.listen()
    for _ in range(3):
        client, upstream = greet(pair, ServerOf(pair))
        drop = range(3, 3 + 2 * STREAMS, 2)
        opened = post(1, b"/keep") + b"".join(post(stream, b"/drop") for stream in drop)
        client.send(opened)
        assert upstream.read(len(opened)) == opened
        begun = b"".join(headers(stream, OK, END_HEADERS) for stream in (1, *drop))
        upstream.send(begun)
        assert client.read(len(begun)) == begun
        began = time.monotonic()
        agent.change({"p.yaml": rules(pair.direction, "/keep")})
        ends = Frames(client.read(13 * STREAMS)).of(RST_STREAM)
        took.append(time.monotonic() - began)
        assert {stream for _, stream, _ in ends} == set(drop)
        assert {stream for _, stream, _ in Frames(upstream.read(13 * STREAMS)).of(RST_STREAM)} \
            == set(drop)
        more = post(101, b"/keep")
        client.send(more)
        assert upstream.read(len(more)) == more
        client.close()
        upstream.close()
        agent.change({"p.yaml": rules(pair.direction, "/.*")})
    assert min(took) * 1000 < AT_ONCE_MS, took
    agent.finish()


class ServerOf:
    """A pair's listener, as greet() wants it."""

    def __init__(self, pair):
        self.address, self.sock = pair.where, pair.listener

    def accept(self):
        return End(self.sock.accept()[0], "server")


@at("home")
@pytest.mark.parametrize("count,apart", [
    (50, 5), pytest.param(300, 0, marks=pytest.mark.long),
    pytest.param(200, 200, marks=pytest.mark.long)])
def test_workloads_come_and_go(sluice, node, lan, place, outside, count, apart):
    """COUNT of them, APART in namespaces of their own, while others talk. Each is held from the
    moment the agent says so, and nothing of it is left."""
    steady_member = node.member("steady/one", lan)
    agent = sluice.agent([node.workload("steady/*"), node.workload("pods/*")],
                         {"p.yaml": rules("egress", "/both", "/a")}, prefix=lan.prefix)
    agent.wait_for(steady_member)
    where = place.address(3), 8080
    truth = Truth("/both", "/a")
    before = descriptors(agent.pid)
    with Steady(lambda: steady_member.connect(where), truth, ALL, 4, pause=0.002) as steady:
        for batch in range(0, count, 10):
            with contextlib.ExitStack() as namespaces:
                members = []
                for number in range(batch, min(batch + 10, count)):
                    own = apart and number % (count // apart) == 0
                    space = namespaces.enter_context(NetworkNamespace()) if own else lan
                    members.append((node.member(f"pods/{number}", space), own))
                agent.wait_for(*(member for member, _ in members))
                for member, own in members:
                    if own:  # without a way to anywhere
                        with pytest.raises(PermissionError):
                            member.connect(("192.0.2.1", 8082))
                    else:
                        with member.connect(where) as end:
                            deny(end, "/never")
                        with pytest.raises(PermissionError):
                            member.connect((where[0], 8082))
                for member, _ in members:
                    node.remove(member)
        steady.wait()
        assert not steady.wrong, steady.wrong[:5]
        agent.wait_until(lambda status: len(status["workloads"]) == 1
                         and not status["network_namespaces"], "only one is left")
        # Four connections with two ends each.
        wait_until(lambda: descriptors(agent.pid) <= before + 8, "its descriptors")
    assert "/never" not in outside.paths
    agent.finish()


def test_selected_while_it_talks(sluice, node, place, outside):
    """A workload that no policy selects is not touched, until one does; connections that would have
    to be read, and were not, end then."""
    member = node.member("pods/held", place.pod(1))
    another = document("another", app("another"), egress=[])
    agent = sluice.agent([node.workload("pods/*")], {"q.yaml": another},
                         prefix=place.prefix).wait_for(member)
    where = place.address(3), 8080
    with member.connect(where) as free:
        free.send(b"GET /never HTTP/1.1\r\nHost: h\r\n\r\n")
        assert free.read_response().status == 200
        agent.change({"p.yaml": rules("egress", "/both")})
        with pytest.raises(ConnectionError):
            free.read_to_end()
    with member.connect(where) as held:
        deny(held, "/a")
        agent.change({"p.yaml": None})
        held.send(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
        assert held.read_response().status == 200
    assert agent.status()["workloads"][0]["policies"] == []
    agent.finish()


def test_a_change_with_an_error_is_none(sluice, node, place, outside):
    """Of a policy or of the configuration: said with its place, and all stays as it was."""
    member = node.member("pods/held", place.pod(1))
    agent = sluice.agent([node.workload("pods/*")], {"p.yaml": rules("egress", "/both")},
                         prefix=place.prefix).wait_for(member)
    good = dict(agent.config)
    for wrong in {"policies": {"q.yaml": "kind: [\n"}}, {"config": {"workloads": [{"name": "x"}]}}:
        for name, text in wrong.get("policies", {}).items():
            agent.put(f"policies/{name}", text)
        if "config" in wrong:
            agent.put_config({**good, **wrong["config"]})
        agent.wait_until(lambda status: status["revision"]["error"], "an error")
        with member.connect((place.address(3), 8080)) as end:
            deny(end, "/a")
        assert re.search(r"\.yaml:\d+:\d+: ", agent.status()["revision"]["error"])
        agent.put_config(good)
        agent.remove("policies/q.yaml")
        agent.wait_until(lambda status: not status["revision"]["error"], "no error")
    agent.finish()


@at("away")
def test_no_room_for_the_program_of_ingress(sluice, node, place, outside):
    """Others have as many in the workload's namespace as there can be: what has to be read does not
    come in there, nothing else waits for it, and when there is room it comes in by itself."""
    member = node.member("pods/held", place.pod(1))
    agent = sluice.agent([node.workload("pods/*")], {"p.yaml": rules("egress", "/both")},
                         prefix=place.prefix).wait_for(member)
    where = place.address(1)
    words = b"what comes in there and has to be read is refused until it can be"
    both = rules("egress", "/a") + rules("ingress", "/both", name="q")

    def unanswered():
        with place.pod(3).inside(), socket.socket() as client:
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.connect((where, 8080))

    with Server(member, "::", 8080) as server, Server(member, "::", 8081) as alone:
        with Crowded(place.pod(1).path):
            agent.change({"q.yaml": rules("ingress", "/both", name="q")})
            unanswered()
            assert server.nobody_came()
            dial(where, 8081, place.pod(3)).close()
            alone.accept()[0].close()
            agent.change({"p.yaml": rules("egress", "/a")})
            with member.connect((place.address(3), 8080)) as end:
                deny(end, "/both")
            time.sleep(RETRY_S)
            # One that starts, and finds the namespace full.
            assert agent.read("err").count(words) == 1
            agent.finish()
            agent = sluice.agent([node.workload("pods/*")], {"p.yaml": both}, prefix=place.prefix)
            agent.wait_for(member)
            unanswered()
        with dial(where, 8080, place.pod(3)) as client:  # its first SYNs may be too early
            deny(client, "/a")
    assert agent.read("err").count(words) == 1
    agent.finish()


def test_programs_are_where_workloads_are(sluice, node, place, outside):
    """An entry for a place that does not exist yet, and one that goes: the rest is not touched."""
    one, two = (node.member(f"{name}/x", place.pod(1)) for name in ("first", "second"))
    entries = [node.workload("first/*"), node.workload("second/*")]
    agent = sluice.agent(entries[:1], {"p.yaml": rules("egress", "/both")},
                         prefix=place.prefix).wait_for(one)

    def statuses():
        found = []
        for member in one, two:
            with member.connect((place.address(3), 8080)) as end:
                end.send(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
                found.append(end.read_response().status)
        return found

    assert statuses() == [403, 200]
    agent.change(workloads=entries)
    agent.wait_for(one, two)
    assert statuses() == [403, 403]
    agent.change(workloads=entries[1:])
    agent.wait_until(lambda status: len(status["workloads"]) == 1, "one is left")
    assert statuses() == [200, 403]
    agent.finish()
