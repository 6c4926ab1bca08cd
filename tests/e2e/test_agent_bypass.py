# SPDX-License-Identifier: Apache-2.0
"""A workload of an agent that means to get around its policy, does not."""
import os

import pytest

from attack import HeldAttack
from policies import document, http
from servers import listen
from test_bypass import SOCKETS

pytestmark = pytest.mark.held
# Those that need no namespace or confinement of `sluice run`'s. AF_PACKET: docs/agent.md.
ATTEMPTS = [name for name in SOCKETS if name != "packet"]


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_nothing_arrives(sluice, folder, node, user):
    """Every attempt with sockets, by TCP and by UDP, one after the other."""
    with HeldAttack(sluice, folder, user, node) as attack:
        for name in ATTEMPTS:
            report = attack.run(name)
            assert attack.delivered() == b"", (name, report)
            assert "ok" not in [report.get("deliver by TCP"), report.get("deliver by UDP")], report
        attack.agent.finish()


def test_the_attempts_are_real(sluice, folder, node):
    """They arrive when nobody holds the workload."""
    with HeldAttack(sluice, folder, "nobody", node) as attack:
        attack.agent.finish()
        for name in "names", "sources", "fast_open":
            report = attack.run(name)
            assert b"SECRET" in attack.delivered(), (name, report)


def test_sockets_stay_with_their_cgroup(sluice, node, lan):
    """A process that leaves takes the policy along with its sockets; one that was moved in is held
    as to what it makes there."""
    inside, outside = node.member("pods/one", lan), node.member("free", lan)
    agent = sluice.agent([node.workload("pods/*")],
                         {"p.yaml": document("p", egress=[http(8080, "/ok")])},
                         prefix=lan.prefix).wait_for(inside)
    where = lan.address(3), 8081
    with lan.pod(3).inside():
        server = listen(*where)
    with server:
        brought = inside.socket()
        for member, path in (inside, outside.path), (outside, inside.path):
            pid = member.processes[0].pid
            with open(os.path.join(path, "cgroup.procs"), "w") as procs:
                procs.write(str(pid))
        with brought, pytest.raises(PermissionError):
            brought.connect(where)
        with pytest.raises(PermissionError):
            outside.connect(where)
        inside.connect(where).close()
        server.accept()[0].close()
    agent.finish()
