# SPDX-License-Identifier: Apache-2.0
"""Real pods of a container runtime, selected by their labels."""
import socket

import pytest

from ends import End
from policies import app, document, http
from procfs import wait_until
from workload import deny, exchange

pytestmark = pytest.mark.held


def held(agent, *pods):
    """Until each of PODS is held to its own policy. Returns what the status says of them."""
    def look(status):
        found = {w["pod"]["uid"]: w for w in status["workloads"] if w["pod"]}
        return all(found.get(p.uid, {}).get("enforced") for p in pods) and found
    found = agent.wait_until(look, f"the pods {[p.name for p in pods]}")
    return [found[p.uid] for p in pods]


def test_pod_on_the_host_network_is_held(sluice, pods):
    """And the host's own traffic is not touched."""
    pod = pods.run("host", labels={"app": "web"}, host_network=True)
    agent = sluice.agent([], {"p.yaml": document("p", app("web"), egress=[
        http(8080, "/ok")])}, pods=pods.config(), log=True)
    status, = held(agent, pod)
    assert status["name"] == "host" and status["namespace"] == "default"
    assert "k8s:app=web" in status["labels"] and status["pod"]["host_network"]
    resident = pod.resident()
    with socket.create_server(("127.0.0.1", 8080)) as listener:
        with resident.connect(("127.0.0.1", 8080)) as here, \
                End(listener.accept()[0], "server") as end:
            exchange(here, end)
            deny(here)
        with socket.create_connection(("127.0.0.1", 8080)) as own:
            listener.accept()[0].close()
            own.close()
    result = agent.finish()
    assert result.denied("default/host: GET") == 1, result.denials
    resident.end()
    pod.remove()
