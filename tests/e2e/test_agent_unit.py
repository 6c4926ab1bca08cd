# SPDX-License-Identifier: Apache-2.0
"""The agent within the limits of the unit of systemd that is installed with it."""
import os
import sys

import pytest

from places import at
from policies import app, document, http
from sluice import ROOT
from workload import Server, deny, exchange

pytestmark = pytest.mark.held
UNIT = os.path.join(ROOT, "packaging/sluice-agent.service")
AS_UNIT = os.path.join(ROOT, "tests/lib/as_unit.py")


@at("away")
def test_limits_of_the_unit(sluice, node, lan, place, folder):
    """All that it does passes them: to find, hold and forget workloads, also in other namespaces."""
    client, server = (node.member(f"pods/{name}", place.pod(number))
                      for name, number in (("client", 1), ("server", 2)))
    text = document("out", app("client"), egress=[http(8080, "/ok")]) \
        + document("in", app("server"), ingress=[http(8080, "/ok")])
    # Leaks are looked for with system calls that no unit needs.
    agent = sluice.agent(
        [node.workload(f"pods/{name}", app=name) for name in ("client", "server")],
        {"p.yaml": text}, environment={"ASAN_OPTIONS": "detect_leaks=0"},
        prefix=[*lan.prefix, sys.executable, "-B", AS_UNIT, UNIT, folder])
    agent.wait_for(client, server)
    with Server(server, place.address(2), 8080) as listener, \
            client.connect((place.address(2), 8080)) as here, listener.accept()[0] as end:
        exchange(here, end)
        deny(here)
    node.remove(client)
    agent.wait_until(lambda status: [w["name"] for w in status["workloads"]] == ["pods-server"],
                     "the client is forgotten")
    agent.finish()
