# SPDX-License-Identifier: Apache-2.0
"""Pods come and go, their labels and policies change, the runtime and the agent go away, while
traffic flows: no verdict is wrong, and nothing is left."""
import concurrent.futures
import contextlib
import time

import pytest

from pod_scenes import come, held, to
from policies import app, document, http
from steady import Answering, Steady, Truth
from workload import deny, get

pytestmark = pytest.mark.held
ALL = "/ok", "/also", "/no"


def rules(name, *paths):
    return document(name, app(name), egress=[http(8080, *paths, peer=to("server"))])


@pytest.fixture(scope="module")
def origin(pods):
    """A pod in which a server answers whatever it is asked."""
    pod = pods.run("server", labels={"app": "server"})
    resident = pod.resident()
    sock = resident.socket()
    sock.bind((pod.addresses()[0], 8080))
    sock.listen(128)
    with sock, Answering(sock):
        yield pod
    resident.end()
    pod.remove()


@pytest.fixture(scope="module")
def client(pods):
    pod = pods.run("client", labels={"app": "client"})
    resident = pod.resident()
    yield pod, resident
    resident.end()
    pod.remove()


@pytest.fixture
def steady(client, origin):
    """Makes somebody who asks without a pause."""
    with contextlib.ExitStack() as stack:
        def start(agent, truth):
            pod, resident = client
            held(agent, pod, origin)
            where = origin.addresses()[0], 8080  # asked now: the runtime may be away later
            return stack.enter_context(Steady(
                lambda: resident.connect(where), truth, ALL, pause=0.002))
        yield start


def judged(resident, where):
    """What comes of an allowed request, of one that is not, and of another port."""
    with resident.connect((where, 8080)) as here:
        here.send(get("/ok"))
        assert here.read_response().status == 200
        for path in "/no", "/in", "/out":
            deny(here, path)
    with pytest.raises(PermissionError):
        resident.connect((where, 8081))


def come_and_go(pods, agent, origin, count):
    """COUNT pods, five at a time."""
    def one(number):
        pod = pods.run(f"pod{number}", labels={"app": "client"})
        resident = pod.resident()
        status, = held(agent, pod)
        judged(resident, origin.addresses()[0])
        resident.end()
        pod.remove()
        return number, status["pod"]["held_after_ms"], status["pod"]["known_after_ms"]

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        for number, before, known in pool.map(one, range(count)):
            print(f"pod{number}: held after {before} ms, by its own policy after {known} ms")


@pytest.mark.parametrize("count", [5, pytest.param(50, marks=pytest.mark.long)])
def test_pods_come_and_go(begin_pods, pods, origin, steady, count):
    truth = Truth("/ok")
    agent = begin_pods(rules("client", "/ok"))
    flow = steady(agent, truth)
    before = agent.status()
    come_and_go(pods, agent, origin, count)
    after = agent.wait_until(
        lambda status: len(status["workloads"]) == len(before["workloads"]) and
        len(status["network_namespaces"]) == len(before["network_namespaces"]) and status,
        "all have gone")
    flow.wait()
    assert not flow.wrong, flow.wrong
    assert after["pods"]["unknown"] == 0 and after["pods"]["held"]["pods"] >= count
    print(after["pods"])
    agent.finish()


def test_pod_labels_and_policies_change(begin_pods, pods, origin, steady):
    """Labels change with a new sandbox of the pod, as runtimes have it."""
    truth = Truth("/ok")
    agent = begin_pods(rules("client", "/ok") + rules("other", "/also"))
    flow = steady(agent, truth)
    where = origin.addresses()[0], 8080
    for name, paths in ("other", (403, 200)), ("client", (200, 403)):
        pod = pods.run("changed", labels={"app": name})
        resident = pod.resident()
        held(agent, pod)
        with resident.connect(where) as here:
            for path, status in zip(("/ok", "/also"), paths):
                here.send(get(path))
                assert here.read_response().status == status
        resident.end()
        pod.remove()
    with truth.change("/ok", "/also"):
        agent.change({"p.yaml": rules("client", "/ok", "/also")})
    flow.wait()
    with truth.change("/also"):
        agent.change({"p.yaml": rules("client", "/also")})
    flow.wait()
    assert not flow.wrong, flow.wrong
    agent.finish()


def test_pods_whose_runtime_restarts(begin_pods, pods, run_pod, steady):
    """Those that are known stay held, and to new policies as well."""
    truth = Truth("/ok")
    agent = begin_pods(rules("client", "/ok"))
    flow = steady(agent, truth)
    pods.stop()
    status = agent.wait_until(lambda s: not s["pods"]["answers"] and s["pods"]["trouble"] and s,
                              "it is noticed")
    assert status["pods"]["known"] == 2
    flow.wait()
    with truth.change("/also"):
        agent.change({"p.yaml": rules("client", "/also")})
    flow.wait()
    pods.start()
    agent.wait_until(lambda s: s["pods"]["answers"] and not s["pods"]["trouble"], "it is back")
    pod = run_pod("comes", labels={"app": "client"})
    held(agent, pod)
    flow.wait()
    assert not flow.wrong, flow.wrong
    agent.finish()


def insist(resident, where):
    """Connect, as soon as there is an agent again. One that dies between connect() and its SYN
    leaves a port on which nobody listens."""
    while True:
        with contextlib.suppress(PermissionError, ConnectionRefusedError):
            return resident.connect(where)
        time.sleep(0.01)


@pytest.mark.alone
def test_pods_of_an_agent_that_is_killed(begin_pods, client, origin, run_pod):
    """What has to be read is refused until there is another one, which knows all pods before it
    takes over, while somebody tries without a pause; the server's socket is older than either."""
    text = rules("client", "/ok", "/in") + document("in", app("server"), ingress=[
        http(8080, "/ok", "/out", peer=come("client"))])
    agent = begin_pods(text)
    pod, resident = client
    second = run_pod("second", labels={"app": "client"})
    held(agent, pod, second, origin)
    where, other = origin.addresses()[0], second.resident()
    judged(resident, where)
    with Steady(lambda: insist(other, (where, 8080)), Truth("/ok"), ("/ok", "/no"), pause=0.002,
                may_end=True) as flow:
        for _ in range(2):
            flow.wait()
            agent.kill()
            with pytest.raises(PermissionError):
                resident.connect((where, 8080))
            agent = begin_pods(text, state=agent.config["state"])
            held(agent, pod, second, origin)
            judged(resident, where)
            flow.wait()
    assert not flow.wrong, flow.wrong
    other.end()
    agent.finish()
