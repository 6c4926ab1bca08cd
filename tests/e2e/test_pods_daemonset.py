# SPDX-License-Identifier: Apache-2.0
"""The agent as the DaemonSet of packaging/kubernetes has it: in a container of the runtime whose pods
it holds, with the privileges of the manifest and no others."""
import json
import os
import socket

import pytest
import yaml

from node import mount
from pod_scenes import to
from policies import app, document, http
from procfs import PATIENCE, wait_until
from sluice import BINARY, ROOT
from workload import Server, deny, exchange

pytestmark = pytest.mark.held


def manifest():
    with open(os.path.join(ROOT, "packaging/kubernetes/sluice.yaml")) as file:
        daemon_set = next(d for d in yaml.safe_load_all(file) if d["kind"] == "DaemonSet")
    return daemon_set["spec"]["template"]["spec"]


class DaemonSet:
    """Its pod and its container. The paths of the host are those of this machine and this scene."""

    def __init__(self, pods, run, text):
        spec = manifest()
        agent, = spec["containers"]
        self.dir = f"{pods.dir}/daemon"
        for name in "", "/etc", "/state", "/log":
            os.makedirs(self.dir + name)
        config = {"policies": "policies.yaml", "pods": pods.config(), "log": "/var/log/sluice/records",
                  "state": "/run/sluice/agent"}
        for name, content in ("agent.yaml", json.dumps(config)), ("policies.yaml", text):
            with open(f"{self.dir}/etc/{name}", "w") as file:
                file.write(content)
        here = {"config": f"{self.dir}/etc", "runtime": pods.dir, "cgroup": mount(),
                "bpf": "/sys/fs/bpf", "state": f"{self.dir}/state", "log": f"{self.dir}/log"}
        mounts = [("/usr", "/usr", True), (os.path.dirname(BINARY), "/opt/sluice", True),
                  (pods.dir, pods.dir, True)]
        mounts += [(here[m["name"]], m["mountPath"], m.get("readOnly", False))
                   for m in agent["volumeMounts"]]
        security = agent["securityContext"]
        self.pod = run("sluice", "kube-system", host_network=spec["hostNetwork"],
                       host_pid=spec["hostPID"])
        # The first process of this machine may be one that nobody may look at.
        other = {"/usr/bin/sluice": "/opt/sluice/sluice", "--target=1": f"--target={os.getpid()}"}
        self.container = self.pod.start(
            "agent", *(other.get(word, word) for word in agent["command"]),
            mounts=mounts, capabilities=security["capabilities"]["add"],
            dropped=security["capabilities"]["drop"],
            no_new_privileges=not security["allowPrivilegeEscalation"],
            read_only=security["readOnlyRootFilesystem"])

    def status(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(f"{self.dir}/state/agent/status")
            with sock.makefile() as document_:
                return json.load(document_)

    def wait(self, pod):
        def look():
            try:
                found = self.status()["workloads"]
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            return [w for w in found if w["pod"] and w["pod"]["uid"] == pod.uid and w["enforced"]]
        self._wait(look, "the agent holds a pod")

    def begun(self):
        self._wait(lambda: os.path.exists(f"{self.dir}/state/agent/status"), "it has begun")

    def _wait(self, condition, what):
        try:
            wait_until(condition, what)
        except TimeoutError:
            with open(f"{self.pod.pods.dir}/logs/agent.log") as log:
                raise RuntimeError(log.read()) from None


def test_agent_in_a_pod_of_the_manifest(pods, run_pod):
    """It holds others and not itself, sees them in both directions, and ends in order."""
    daemon = DaemonSet(pods, run_pod, document("p", app("client"), egress=[
        http(8080, "/ok", peer=to("server"))]))
    daemon.begun()
    client, server = (run_pod(name, labels={"app": name}) for name in ("client", "server"))
    resident, there = client.resident(), server.resident()
    daemon.wait(client)
    daemon.wait(server)
    where = server.addresses()[0], 8080
    with Server(there, *where) as listener, resident.connect(where) as here, \
            listener.accept()[0] as end:
        exchange(here, end)
        deny(here)
    with pytest.raises(PermissionError):
        resident.connect((where[0], 8081))
    assert not [w for w in daemon.status()["workloads"] if w["name"] == "sluice"]
    daemon.container.stop(20)
    with open(f"{daemon.dir}/log/records") as file:
        records = [json.loads(line) for line in file]
    assert {r["verdict"] for r in records} == {"FORWARDED", "DROPPED"}
    assert not os.path.exists(f"{daemon.dir}/state/agent")
    for one in resident, there:
        one.end()
