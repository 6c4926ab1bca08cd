# SPDX-License-Identifier: Apache-2.0
"""Containers of podman, which has no CRI: the agent holds them by their cgroups."""
import os
import subprocess
import uuid

import folders
import procfs
from image import make_root
from procfs import wait_until
from workload import Sockets, meet

CONFIG = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'


class Podman:
    """All of it is below FOLDER, and goes with the `with`. Containers are made below the cgroup
    PARENT, as /proc/PID/cgroup has it."""

    def __init__(self, folder, parent):
        self.dir, self.parent, self.residents = os.path.join(folder, "podman"), parent, []
        self.root = f"{self.dir}/image"

    def __enter__(self):
        os.mkdir(self.dir)
        with open(f"{self.dir}/containers.conf", "w") as file:
            file.write(CONFIG)
        make_root(self.root)
        return self

    def command(self, *arguments, **how):
        return subprocess.run(
            ["podman", "--root", f"{self.dir}/root", "--runroot", f"{self.dir}/run", "--tmpdir",
             f"{self.dir}/tmp", "--storage-driver", "vfs", "--events-backend", "none",
             "--runtime", "runc", "--cgroup-manager", "cgroupfs", *arguments],
            env={**os.environ, "CONTAINERS_CONF": f"{self.dir}/containers.conf"},
            capture_output=True, text=True, timeout=60, check=True, **how).stdout.strip()

    def run(self, namespace):
        resident = Resident(self, namespace)
        self.residents.append(resident)
        return resident

    def __exit__(self, *_):
        for resident in self.residents:
            resident.end()
        # Whoever watched a container cleans up after it.
        wait_until(lambda: not any(self.dir in word for words in procfs.command_lines().values()
                                   for word in words), "podman has ended")
        folders.remove(self.dir)


class Resident(Sockets):
    """A container with a puppet, in a network namespace that is there already."""

    def __init__(self, podman, namespace):
        self.podman, self.namespace = podman, namespace
        self.control = meet(f"{podman.dir}/{uuid.uuid4().hex[:8]}", self._start)

    def _start(self, command):
        folders = "/usr", os.path.dirname(os.path.abspath(__file__)), self.podman.dir
        self.id = self.podman.command(
            "run", "--detach", "--network", f"ns:{self.namespace.path}", "--cgroup-parent",
            self.podman.parent, *(f"--volume={path}:{path}" for path in folders), "--rootfs",
            self.podman.root, *command)
        self.pid = int(self.podman.command("inspect", "-f", "{{.State.Pid}}", self.id))
        with open(f"/proc/{self.pid}/cgroup") as rows:
            self.cgroup = next(row[3:].strip() for row in rows if row.startswith("0::"))
        return self

    @staticmethod
    def poll():
        return "unknown"

    def end(self):
        self.control.close()
        self.podman.command("rm", "--force", "--time", "0", self.id)
