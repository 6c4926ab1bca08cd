# SPDX-License-Identifier: Apache-2.0
"""Containers of podman, by the cgroup globs of the agent's configuration."""
import pytest

from ends import End
from node import mount
from podman import Podman
from policies import document, http
from servers import listen
from workload import deny, exchange

pytestmark = pytest.mark.held


def test_podman_container_is_held(sluice, node, lan, folder):
    parent = node.tree.make("podman").removeprefix(mount())
    agent = sluice.agent([node.workload("podman/libpod-*", "web", app="web")], {
        "p.yaml": document("p", egress=[http(8080, "/ok")])})
    with lan.pod(2).inside():
        server = listen(lan.address(2), 8080)
    with server, Podman(folder, parent) as podman:
        resident = podman.run(lan.pod(1))
        agent.wait_for(resident)
        with resident.connect((lan.address(2), 8080)) as here, \
                End(server.accept()[0], "server") as end:
            exchange(here, end)
            deny(here)
        with pytest.raises(PermissionError):
            resident.connect((lan.address(2), 8081))
    result = agent.finish()
    assert result.denied("web: GET") == 1, result.denials
