# SPDX-License-Identifier: Apache-2.0
"""Whoever is root in a pod and means to get around its policy. What nobody can hold from outside is
named in docs/security.md, under Pods."""
import json

import pytest

from attack import ESCAPE, Attack
from pod_scenes import held
from pods import PodNamespace
from procfs import PATIENCE
from test_bypass import SOCKETS

pytestmark = pytest.mark.held
# AF_PACKET is what a pod with CAP_NET_RAW, which is a default, cannot be kept from.
ATTEMPTS = [name for name in SOCKETS if name != "packet"]


class PodAttack(Attack):
    """The attack from a container, as its root. Loopback of the pod is held as well, so that there
    is one place for all servers."""

    def __init__(self, begin, pods, pod, capabilities):
        super().__init__(None, pods.dir, "root")
        self.begin, self.pods, self.pod, self.capabilities = begin, pods, pod, capabilities

    def _namespace(self):
        return PodNamespace(self.pod)

    def __enter__(self):
        self.container = self.pod.start("victim", "sleep", "1000", mounts=self.pods.shared(),
                                        capabilities=self.capabilities)
        super().__enter__()
        try:
            self.agent = self.begin(self.policy, **{"hold-loopback": True})
            held(self.agent, self.pod)
        except BaseException:
            self.stack.close()
            raise
        return self

    def run(self, name, options=(), facts=None, **how):
        out = self.container.exec("python3", ESCAPE, name, self.facts(facts or {}), timeout=PATIENCE)
        return json.loads(out.splitlines()[-1])


@pytest.mark.parametrize("capabilities", [(), ("NET_ADMIN", "NET_RAW")],
                         ids=["default", "net_admin"])
def test_nothing_arrives_from_a_pod(begin_pods, pods, run_pod, capabilities):
    pod = run_pod("victim", labels={"app": "victim"})
    with PodAttack(begin_pods, pods, pod, capabilities) as attack:
        for name in ATTEMPTS:
            report = attack.run(name)
            assert attack.delivered() == b"", (name, report)
            assert "ok" not in [report.get("deliver by TCP"), report.get("deliver by UDP")], report
        attack.agent.finish()
        report = attack.run("names")  # it is real
        assert b"SECRET" in attack.delivered(), report
