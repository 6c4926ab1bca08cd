# SPDX-License-Identifier: Apache-2.0
"""When the agent ends in whatever way, and when it runs out of something: nothing passes unread,
all else goes on, and the counters say what happened."""
import contextlib
import os
import resource
import signal
import time

import pytest

from crowd import Crowd
from ends import End
from places import at
from policies import document, http, port
from procfs import SANITIZED, descriptors, wait_until
from servers import listen
from sluice import cleanup
from workload import Server, deny, dial, exchange

pytestmark = pytest.mark.held
RULES = [http(8080, "/ok"), port(8081)]
POLICY = document("p", egress=RULES, ingress=RULES)
WITHIN = 3 if SANITIZED else 1.0  # seconds, from the start of an agent to what it enforces


@pytest.fixture
def pods(node, place):
    return node.member("pods/a", place.pod(1)), node.member("pods/b", place.pod(2))


def start(sluice, node, place, policy=POLICY, **config):
    return sluice.agent([node.workload("pods/*")], {"p.yaml": policy}, prefix=place.prefix, **config)


def check_held(place, client, listener, alone, closed):
    """On the way out: read, left alone, refused."""
    where = place.address(2)
    with client.connect((where, 8080)) as here, listener.accept()[0] as end:
        exchange(here, end)
        deny(here)
    with client.connect((where, 8081)) as here, alone.accept()[0] as end:
        exchange(here, end, "/anything")
    with pytest.raises(PermissionError):
        client.connect((where, 8082))
    assert closed.nobody_came()


@at("home", "away")
@pytest.mark.alone
def test_killed_and_started_again(sluice, node, place):
    """As often as it happens: closed while there is no agent, and enforced again within a second;
    what the dead one left is gone when the next one has taken over."""
    client, server = node.member("pods/a", place.pod(1)), node.member("free", place.pod(2))
    policy = document("p", egress=RULES)
    with contextlib.ExitStack() as all_:
        listener, alone, closed = (all_.enter_context(Server(server, "::", number))
                                   for number in (8080, 8081, 8082))
        state = os.path.join(sluice.folder, "state")
        agent = start(sluice, node, place, policy, state=state).wait_for(client)
        check_held(place, client, listener, alone, closed)
        lasting = all_.enter_context(client.connect((place.address(2), 8081)))
        lasting_end = all_.enter_context(alone.accept()[0])
        for _ in range(3):
            carried = client.connect((place.address(2), 8080))
            carried_end, _ = listener.accept()
            exchange(carried, carried_end)
            agent.kill()
            assert carried.read_rest() == b""
            carried_end.close()
            with pytest.raises(PermissionError):
                client.connect((place.address(2), 8080))
            with client.connect((place.address(2), 8081)), alone.accept()[0]:
                exchange(lasting, lasting_end, "/anything")
            began = time.monotonic()
            agent = start(sluice, node, place, policy, state=state).wait_for(client)
            assert time.monotonic() - began < WITHIN
            exchange(lasting, lasting_end, "/anything")
            check_held(place, client, listener, alone, closed)
    agent.finish()


@pytest.mark.alone
def test_killed_and_cleaned_up(sluice, node, place, pods):
    client, server = pods
    with Server(server, "::", 8080) as listener:
        agent = start(sluice, node, place).wait_for(*pods)
        agent.kill()
        with pytest.raises(PermissionError):
            client.connect((place.address(2), 8080))
        done = cleanup()
        assert done.returncode == 0 and "1 killed agent" in done.stdout, done
        with client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
            exchange(here, end, "/anything")
    assert cleanup().stdout == ""


def test_only_one(sluice, node, place, pods):
    """A second agent of the same state directory does not start, and changes nothing."""
    client, server = pods
    agent = start(sluice, node, place).wait_for(*pods)
    second = start(sluice, node, place, state=agent.config["state"])
    assert second.wait().code != 0 and "sluice: " in second.result.err
    with Server(server, "::", 8080) as listener, \
            client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
        exchange(here, end)
        deny(here)
    agent.finish()


def test_ended_in_order(sluice, node, place, pods):
    """What is in flight is delivered; then everybody is free."""
    client, server = pods
    agent = start(sluice, node, place).wait_for(*pods)
    with Server(server, "::", 8080) as listener:
        with client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
            here.send(b"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n")
            end.read_head()
            agent.signal(signal.SIGTERM)
            end.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            assert here.read_response().body == b"ok"
        agent.finish()
        with dial(place.address(2), 8080, place.pod(3)) as here, listener.accept()[0] as end:
            exchange(here, end, "/anything")


def test_no_room_for_the_log(sluice, node, place, pods):
    """The disk is full: records are lost, and counted, and nothing else is."""
    client, server = pods
    agent = start(sluice, node, place, log="/dev/full").wait_for(*pods)
    with Server(server, "::", 8080) as listener, \
            client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
        for _ in range(50):
            exchange(here, end)
            deny(here)
    result = agent.finish()
    assert "records" in result.err and result.denied("/no") == 50


def test_descriptors_run_out(sluice, node, place, pods):
    """The agent keeps 2,048 for itself. Who comes when the others are taken is reset and counted;
    those who are there are served, and so is whoever comes when others have gone."""
    client, server = pods
    agent = sluice.agent([node.workload("pods/*")], {"p.yaml": POLICY}, log=True,
                         prefix=[*place.prefix, "prlimit", "--nofile=4300:4300"]).wait_for(*pods)
    where = place.address(2), 8080
    with Server(server, "::", 8080) as listener, contextlib.ExitStack() as all_:
        first = all_.enter_context(client.connect(where))
        end = all_.enter_context(listener.accept()[0])
        crowd = []
        for _ in range(800):
            with contextlib.suppress(ConnectionResetError):
                crowd.append(all_.enter_context(client.connect(where)))
        wait_until(lambda: agent.status()["counters"]["close.limit"] > 0, "a limit")
        exchange(first, end)
        deny(first)
        for one in crowd:
            one.close()
        while not listener.nobody_came():
            listener.accept()[0].close()

        def served():
            with contextlib.suppress(ConnectionError, EOFError):
                with client.connect(where) as here:
                    deny(here)
                    return True
        wait_until(served, "somebody is served")
        exchange(first, end)
    agent.finish()


@pytest.mark.long
def test_ten_thousand_silent_ones(sluice, node, place):
    """Or as many as a process may carry. A unit holds them open; another workload is served
    meanwhile."""
    count = min(10000, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 3000) // 2)
    unit, client, server = (node.member(name, namespace) for name, namespace in (
        ("pods/unit", place.pod(0)), ("pods/a", place.pod(1)), ("pods/b", place.pod(2))))
    with place.inside():
        silent = listen(port=8080)
    agent = start(sluice, node, place).wait_for(unit, client, server)
    with silent, Server(server, place.address(2), 8080) as listener, \
            Crowd(unit, silent, count) as crowd:
        assert crowd.standing() == count
        agent.wait_until(lambda status: {w["cgroup"]: w["connections"] for w in status["workloads"]}
                         [unit.cgroup] == count, "all of them are counted")
        with client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
            exchange(here, end)
            deny(here)
    wait_until(lambda: agent.status()["counters"]["conn.open"] == 0, "they have gone")
    assert descriptors(agent.pid) < 500
    agent.finish()


def test_without_cgroups_and_with_many_ends(sluice, node, place):
    """A workload that is made, killed and made again by the same name is another one each time."""
    agent = start(sluice, node, place)
    with place.pod(3).inside():
        listener = listen(place.address(3), 8080)
    seen = set()
    with listener:
        for _ in range(5):
            member = node.member("pods/again", place.pod(1))
            agent.wait_for(member)
            workload, = agent.status()["workloads"]
            assert workload["id"] not in seen
            seen.add(workload["id"])
            with member.connect((place.address(3), 8080)) as here, \
                    End(listener.accept()[0], "server") as end:
                exchange(here, end)
                deny(here)
            node.remove(member)
            agent.wait_until(lambda status: not status["workloads"], "it has gone")
    agent.finish()
