# SPDX-License-Identifier: Apache-2.0
"""When the agent ends in whatever way, and when it runs out of something: nothing passes unread,
all else goes on, and the counters say what happened."""
import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import pytest

import leftovers
from crowd import Crowd
from ends import End
from places import at
from policies import document, http, port
from procfs import PATIENCE, descriptors, wait_until
from servers import listen
from sluice import ROOT, cleanup
from workload import OK, Server, deny, dial, exchange, get, unless_refused

pytestmark = pytest.mark.held
RULES = [http(8080, "/ok"), port(8081)]
POLICY = document("p", egress=RULES, ingress=RULES)
MANY = 200
# Seconds, from the start of an agent to what it enforces. That takes a fraction of one: what it took is
# printed, and a busy machine fails nothing.
WITHIN = 5


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
def test_killed_and_started_again(sluice, node, place, lan, pods):
    """As often as it happens: closed while there is no agent, and enforced again within a second;
    what the dead one left is gone when the next one has taken over. Servers and connections, which
    the next one does not know from the first, are what they were."""
    client, server = pods
    with contextlib.ExitStack() as all_:
        listener, alone, closed = (all_.enter_context(Server(server, "::", number))
                                   for number in (8080, 8081, 8082))
        state = os.path.join(sluice.folder, "state")
        agent = start(sluice, node, place, state=state).wait_for(*pods)
        check_held(place, client, listener, alone, closed)
        lasting = all_.enter_context(client.connect((place.address(2), 8081)))
        lasting_end = all_.enter_context(alone.accept()[0])
        took = []
        for _ in range(3):
            carried = client.connect((place.address(2), 8080))
            carried_end, _ = listener.accept()
            exchange(carried, carried_end)
            agent.kill()
            assert carried.read_rest() == b""
            carried_end.close()
            with pytest.raises(PermissionError):
                client.connect((place.address(2), 8080))
            with pytest.raises(ConnectionRefusedError):
                dial(place.address(2), 8080, lan.pod(3))
            with client.connect((place.address(2), 8081)), alone.accept()[0]:
                exchange(lasting, lasting_end, "/anything")
            began = time.monotonic()
            agent = start(sluice, node, place, state=state).wait_for(*pods)
            took.append(time.monotonic() - began)
            exchange(lasting, lasting_end, "/anything")
            check_held(place, client, listener, alone, closed)
            with pytest.raises(ConnectionRefusedError):
                dial(place.address(2), 8082, lan.pod(3))
    print("enforced again after", took)
    assert min(took) < WITHIN
    agent.finish()


class Knocking:
    """Somebody who tries to connect where he may not, without a pause, in a process of its own. A
    context manager; .came() says how often he tried, and that nobody ever let him."""

    def __init__(self, member, address):
        self.process = member.start([sys.executable, "-c", KNOCK, *map(str, address)],
                                    stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        assert self.process.stdout.readline() == "refused\n"
        return self

    def came(self):
        assert self.process.poll() is None, self.process.stdout.read()
        self.process.send_signal(signal.SIGTERM)
        said = self.process.stdout.read()
        assert self.process.wait() == 0, said
        return int(said)

    def __exit__(self, *_):
        self.process.kill()


KNOCK = """
import signal, socket, sys
count, ended = 0, []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
while not ended:
    with socket.socket() as sock:
        try:
            sock.connect((sys.argv[1], int(sys.argv[2])))
        except PermissionError:
            count += 1
        else:
            sys.exit(f"let through after {count} times")
    if count == 1:
        print("refused", flush=True)
print(count)
"""


@pytest.mark.alone
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGUSR2], ids=["killed", "restarted"])
def test_no_gap(how, sluice, node, place):
    """Who may not connect tries it all the time, while agents are killed, or ended for a restart,
    and others take over."""
    client, server = node.member("pods/a", place.pod(1)), node.member("free", place.pod(2))
    config = {"policy": document("p", egress=RULES), "state": os.path.join(sluice.folder, "state")}
    agent = start(sluice, node, place, **config).wait_for(client)
    with Server(server, "::", 8080) as listener, Server(server, "::", 8082) as closed, \
            Knocking(client, (place.address(2), 8082)) as knocking:
        for _ in range(3):
            agent.signal(how)
            agent.process.wait(PATIENCE)
            with pytest.raises(PermissionError):
                client.connect((place.address(2), 8080))
            agent = start(sluice, node, place, **config).wait_for(client)
            with client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
                exchange(here, end)
                deny(here)
        assert knocking.came() > 50
        assert closed.nobody_came()
    assert "took over from the agent before" in agent.finish().err


def pinned_by(agent):
    """Its directory."""
    found, = (path for path in leftovers.pins()
              if re.search(rf"/agent-{agent.pid}-[0-9a-f]{{8}}$", path))
    return found


@pytest.mark.alone
def test_killed_and_cleaned_up(sluice, node, place, pods):
    """Everything that is pinned goes, and is listed; cgroups are others' and stay."""
    client, server = pods
    with Server(server, "::", 8080) as listener:
        agent = start(sluice, node, place).wait_for(*pods)
        agent.kill()
        with pytest.raises(PermissionError):
            client.connect((place.address(2), 8080))
        pins = pinned_by(agent)
        done = cleanup()
        assert done.returncode == 0 and "1 killed agent" in done.stdout, done
        assert re.search(rf"^removed {pins} with \d\d+ links and maps$", done.stdout, re.M), done
        assert "nothing else of a killed sluice is pinned" in done.stdout
        assert not os.path.exists(pins)
        for path in client.path, server.path, os.path.dirname(client.path):
            assert os.path.isdir(path)
        with client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
            exchange(here, end, "/anything")
    assert cleanup().stdout == ""


@pytest.mark.alone
def test_pinned_by_nobody_known(sluice, node, place, pods):
    """What cannot be told to be dead is not removed, and it is said that it is there."""
    agent = start(sluice, node, place).wait_for(*pods)
    folder = pinned_by(agent)[:-8] + "0"
    os.mkdir(folder)
    done = cleanup()
    os.rmdir(folder)
    assert done.returncode == 1 and f"{folder} is still pinned" in done.stderr, done
    agent.finish()


def test_only_one(sluice, node, place, pods):
    """A second agent of the same state directory does not start, and changes nothing."""
    client, server = pods
    agent = start(sluice, node, place).wait_for(*pods)
    second = start(sluice, node, place, state=agent.config["state"])
    assert second.wait().code == 125
    assert re.fullmatch(rf"sluice: another agent \(process {agent.pid}\) has the state directory "
                        rf"{agent.config['state']}: .*\n", second.result.err), second.result.err
    with Server(server, "::", 8080) as listener, \
            client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
        exchange(here, end)
        deny(here)
    agent.finish()


def drain(listener):
    while not listener.nobody_came():
        listener.accept()[0].close()


def until_refused(client, where, listener):
    """The agent has closed its listeners. What comes to the server until then is taken: with a full
    queue it would answer nobody afterwards."""
    with pytest.raises(PermissionError):
        while True:
            with contextlib.suppress(ConnectionError):
                client.connect(where).close()
            drain(listener)


def test_ended_in_order(sluice, node, place, pods):
    """What is in flight is delivered while everything stays as closed as it was: only then
    everybody is free."""
    client, server = pods
    agent = start(sluice, node, place).wait_for(*pods)
    where = place.address(2), 8080
    with Server(server, "::", 8080) as listener, Server(server, "::", 8081) as alone:
        with client.connect(where) as here, listener.accept()[0] as end:
            here.send(get("/ok"))
            end.read_head()
            agent.signal(signal.SIGTERM)
            until_refused(client, where, listener)
            with pytest.raises(PermissionError):
                client.connect((place.address(2), 8082))
            with client.connect((place.address(2), 8081)) as left, alone.accept()[0] as other:
                exchange(left, other, "/anything")
            end.send(OK)
            assert here.read_response().body == b"ok"
            deny(here)
        drain(listener)
        agent.finish()
        with dial(place.address(2), 8080, place.pod(3)) as here, listener.accept()[0] as end:
            exchange(here, end, "/anything")


def test_ended_at_once(sluice, node, place, pods):
    """By a second signal: what never ends would be waited for."""
    client, server = pods
    agent = start(sluice, node, place, limits={"wind-up": "1h"}).wait_for(*pods)
    with Server(server, "::", 8080) as listener, \
            client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
        exchange(here, end)
        agent.signal(signal.SIGTERM)
        until_refused(client, (place.address(2), 8080), listener)   # the first signal has come
        exchange(here, end)
        agent.signal(signal.SIGTERM)
        assert here.read_rest() == b""
        assert agent.wait().code == 0


def test_no_room_for_the_log(sluice, node, place, pods, folder):
    """The disk is full: records are lost, and counted, and nothing else is; those that were written
    before are whole."""
    client, server = pods
    disk = os.path.join(folder, "disk")
    os.mkdir(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "none", disk], check=True)
    try:
        agent = start(sluice, node, place, log=os.path.join(disk, "log")).wait_for(*pods)
        with Server(server, "::", 8080) as listener, \
                client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
            for _ in range(60):
                exchange(here, end)
                deny(here)
        result = agent.finish()
        with open(os.path.join(disk, "log"), "rb") as file:
            whole = file.read().split(b"\n")[:-1]
    finally:
        subprocess.run(["umount", disk], check=True)
    lost = re.search(r"^sluice: (\d+) records could not be written to the log$", result.err, re.M)
    assert lost and int(lost[1]) > 20 and len(whole) > 5, (result.err, len(whole))
    for line in whole:
        json.loads(line)
    assert result.denied("/no") == 60


def limited(sluice, node, place, number):
    """An agent that may have so many descriptors."""
    return sluice.agent([node.workload("pods/*")], {"p.yaml": POLICY}, log=True,
                        prefix=[*place.prefix, "prlimit", f"--nofile={number}:{number}"])


def test_descriptors_run_out(sluice, node, place, pods):
    """Of few the agent keeps a quarter for itself, and says so. Who comes when the others are taken
    is reset and counted; those who are there are served, as is whoever comes when others have gone,
    and one more workload is held."""
    client, server = pods
    agent = limited(sluice, node, place, 1100).wait_for(*pods)
    where = place.address(2), 8080
    with Server(server, "::", 8080) as listener, contextlib.ExitStack() as all_:
        first = all_.enter_context(client.connect(where))
        end = all_.enter_context(listener.accept()[0])
        crowd = []
        for _ in range(420):
            with contextlib.suppress(ConnectionResetError):
                crowd.append(all_.enter_context(client.connect(where)))
        wait_until(lambda: agent.status()["counters"]["close.limit"] > 0, "a limit")
        exchange(first, end)
        deny(first)
        agent.wait_for(node.member("pods/late", place.pod(3)))
        for one in crowd:
            one.close()
        drain(listener)

        def served():
            with contextlib.suppress(ConnectionError, EOFError):
                with client.connect(where) as here:
                    deny(here)
                    return True
        wait_until(served, "somebody is served")
        exchange(first, end)
    result = agent.finish()
    said, = re.findall(r"^sluice: with at most 1100 descriptors .* only (\d+) connections .*: raise "
                       r"LimitNOFILE.*$", result.err, re.M)
    assert result.stats["conn.opened"] > int(said) > 380
    assert result.closed("limit") >= 420 - int(said)


def test_too_few_descriptors(sluice, node, place):
    agent = limited(sluice, node, place, 300)
    assert agent.wait().code == 125
    assert re.fullmatch(r"sluice: 300 descriptors are too few .* raise LimitNOFILE.*\n",
                        agent.result.err), agent.result.err


@pytest.mark.parametrize("count", [300, pytest.param(10000, marks=pytest.mark.long)])
def test_silent_ones(count, sluice, node, place):
    """Ten thousand, or as many as a process may carry, who say nothing. A unit holds them open;
    another workload is served meanwhile."""
    count = min(count, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 3000) // 2)
    unit, client, server = (node.member(name, namespace) for name, namespace in (
        ("pods/unit", place.pod(0)), ("pods/a", place.pod(1)), ("pods/b", place.pod(2))))
    with place.inside():
        silent = listen(place.node_address(), 8080)
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


@at("away")
def test_half_open(sluice, node, place, pods):
    """Ten thousand handshakes with a server that nobody goes on with, from addresses of nobody, take
    nothing from the agent, and others are served meanwhile, each known by its address."""
    client, server = pods
    agent = start(sluice, node, place).wait_for(*pods)
    where = place.address(2), 8080
    there, stranger = place.pod(2), place.pod(3)
    with Server(server, "0.0.0.0", 8080) as listener:
        stranger.run(sys.executable, "-B", os.path.join(ROOT, "tests/lib/syns.py"),
                     *map(str, where), "10000", *(place.address(n) for n in range(100, 110)))
        cookies = there.run("nstat", "-asz", "TcpExtSyncookiesSent").split()[-2]
        half_open = there.run("ss", "-Htn", "state", "syn-recv").count("\n")
        for number, make in (1, lambda: client.connect(where)), (3, lambda: dial(*where, stranger)):
            with make() as here:
                end, who = listener.accept()
                with end:
                    assert who[0] == place.address(number)
                    exchange(here, end)
                    deny(here)
    assert half_open + int(cookies) > 5000  # a busy machine loses some on the way
    assert agent.finish().stats["conn.opened"] == 3  # the client's is carried at both ends


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
            # Its namespace is registered anew each time.
            here = wait_until(lambda: unless_refused(member, (place.address(3), 8080)), "it is known")
            with here, End(listener.accept()[0], "server") as end:
                exchange(here, end)
                deny(here)
            node.remove(member)
            agent.wait_until(lambda status: not status["workloads"], "it has gone")
    agent.finish()


@pytest.mark.long
def test_many_come_and_go_together(sluice, node, place):
    """The kernel takes its time for each; whoever asks the agent something does not wait for all.
    """
    agent = start(sluice, node, place)
    agent.wait_until(lambda status: True, "it is there")
    took = []

    def held():
        begun = time.monotonic()
        workloads = agent.status()["workloads"]
        took.append(time.monotonic() - begun)
        return [workload["enforced"] for workload in workloads]
    paths = [node.tree.make(f"pods/many{number}") for number in range(MANY)]
    wait_until(lambda: held() == [True] * MANY, "all are held")
    for path in paths:
        os.rmdir(path)
    wait_until(lambda: held() == [], "all have gone")
    assert max(took) < WITHIN, sorted(took)[-5:]
    agent.finish()
