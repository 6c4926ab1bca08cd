# SPDX-License-Identifier: Apache-2.0
"""What runtime/cri.h tells of real pods, by a program that prints it: tests/pods/pods_seen.c."""
import concurrent.futures
import json
import os
import subprocess

import pytest

from procfs import PATIENCE, wait_until
from sluice import BINARY

pytestmark = pytest.mark.held
LABELS = {"app": "web", "io.kubernetes.pod.name": "web", "tier": "größe"}


class Seen:
    """The lines of pods_seen so far."""

    def __init__(self, pods, path, *options):
        self.out = open(os.path.join(path, "seen"), "w+")
        self.process = subprocess.Popen([os.path.join(os.path.dirname(BINARY), "pods_seen"),
                                         pods.socket, *options],
                                        stdin=subprocess.DEVNULL, stdout=self.out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        alive = self.process.poll() is None
        self.process.kill()
        self.process.wait()
        self.out.close()
        assert alive, "pods_seen has ended"

    def lines(self, **wanted):
        with open(self.out.name) as file:
            rows = [json.loads(line) for line in file.read().split("\n")[:-1]]
        return [row for row in rows if all(row.get(k) == v for k, v in wanted.items())]

    def wait(self, count=1, where=lambda row: True, **wanted):
        wait_until(lambda: len(list(filter(where, self.lines(**wanted)))) >= count,
                   f"{count} lines {wanted}", PATIENCE)
        return list(filter(where, self.lines(**wanted)))[count - 1]


@pytest.fixture
def seen(pods, folder):
    with Seen(pods, folder, "200") as running:
        assert running.wait(news="synced")["runtime"].startswith("containerd ")
        yield running


def test_pod_with_all_its_details(pods, seen):
    """Name, labels, both addresses, namespace, cgroup; its containers as they come and go."""
    pod = pods.run("web", "team", LABELS, {"note": "a \"quoted\"\nword"})
    told = seen.wait(news="appeared", id=pod.id)
    assert (told["name"], told["namespace"], told["uid"]) == ("web", "team", pod.uid)
    assert told["labels"] == LABELS and told["annotations"] == {"note": "a \"quoted\"\nword"}
    assert told["ready"] and told["known"] and not told["host_network"]
    assert told["addresses"] == pod.addresses() and len(told["addresses"]) == 2
    assert told["cgroup_parent"] == told["cgroup"] == pod.cgroup
    assert told["cgroup_how"] == "own"
    assert os.stat(told["netns"]).st_ino == os.stat(f"/proc/{told['pid']}/ns/net").st_ino
    first = pod.start("main", "sleep", "1000")
    seen.wait(news="changed", id=pod.id, containers={first.id: ["main", 0, "running"]})
    second = first.restart()
    seen.wait(news="changed", id=pod.id, containers={
        first.id: ["main", 0, "exited"], second.id: ["main", 1, "running"]})
    assert second.exec("hostname") == "web\n"
    pod.remove()
    seen.wait(news="vanished", id=pod.id)
    assert not seen.lines(news="trouble")


def test_pod_on_the_host_network(pods, seen):
    pod = pods.run("host", host_network=True)
    told = seen.wait(news="appeared", id=pod.id)
    assert told["host_network"] and not told["addresses"] and not told["netns"]
    assert told["cgroup"] == pod.cgroup
    pod.remove()
    seen.wait(news="vanished", id=pod.id)


def test_pod_without_a_cgroup_of_its_own(pods, seen):
    """Its process' is taken, and that is said."""
    pod = pods.run("odd", parent=pods.kubepods + "/shared")
    told = seen.wait(news="appeared", id=pod.id)
    assert told["cgroup_how"] == "of-process"
    assert told["cgroup"] == f"{pods.kubepods}/shared/{pod.id}"
    pod.remove()


@pytest.mark.long  # test_pods_changes.py has the agent do so
def test_pods_outlive_their_runtime(pods, seen):
    """A restart of it is told; pods stay, and those that went or came meanwhile are told."""
    stays = pods.run("stays")
    seen.wait(news="appeared", id=stays.id)
    pods.stop()
    seen.wait(news="trouble")
    assert not seen.lines(news="vanished", id=stays.id)
    pods.start()
    comes = pods.run("comes")
    seen.wait(2, news="synced")
    seen.wait(news="appeared", id=comes.id)
    assert not seen.lines(news="vanished", id=stays.id)
    assert len(seen.lines(news="appeared", id=stays.id)) == 1
    for pod in stays, comes:
        pod.remove()
        seen.wait(news="vanished", id=pod.id)


@pytest.mark.long
def test_pods_by_the_score(pods, seen):
    """Twenty, five at a time: each is told with its addresses, and gone."""
    def one(number):
        pod = pods.run(f"pod{number}", labels={"number": str(number)})
        told = seen.wait(news="appeared", id=pod.id)
        assert told["labels"] == {"number": str(number)} and told["cgroup"] == pod.cgroup
        assert told["addresses"] == pod.addresses()
        pod.remove()
        seen.wait(news="vanished", id=pod.id)

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(one, range(20)))
    assert len(seen.lines(news="appeared")) == len(seen.lines(news="vanished")) == 20
