# SPDX-License-Identifier: Apache-2.0
"""A node in small: cgroups below the scene's own, with processes in them, each in the network
namespace of the scene's choice. Nothing outside of that subtree is ever put into a workload."""
import contextlib
import os
import secrets
import signal
import subprocess

import leftovers
import procfs
from procfs import PATIENCE, wait_until
from workload import Sockets, meet

# A shell that moves itself, and then becomes the command.
ENTER = "sh", "-c", 'echo 0 > "$0/cgroup.procs" && exec "$@"'


def mount():
    return next(path for path, kind in procfs.mounts() if kind == "cgroup2")


def own_cgroup():
    return mount() + procfs.cgroups_of_processes()[os.getpid()].rstrip("/")


class Tree:
    """A cgroup of the scene's own. A context manager: at its end every process in it is ended, and
    it is removed."""

    def __init__(self):
        # As runs are named, so that whoever looks for what is left finds it.
        leftovers.our_runs.add(os.getpid())
        self.path = os.path.join(own_cgroup(), f"sluice-{os.getpid()}-{secrets.token_hex(4)}")

    def __enter__(self):
        os.mkdir(self.path)
        return self

    def make(self, name):
        path = os.path.join(self.path, name)
        os.makedirs(path, exist_ok=True)
        return path

    def __exit__(self, *_):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        remove_cgroup(self.path)

    def processes(self):
        found = []
        for folder, _, _ in os.walk(self.path):
            with contextlib.suppress(FileNotFoundError):
                with open(os.path.join(folder, "cgroup.procs")) as rows:
                    found += [int(row) for row in rows]
        return found


def remove_cgroup(path):
    """With all below it. Whoever was in it may be a moment from having gone."""
    for folder, _, _ in os.walk(path, topdown=False):
        def gone(folder=folder):
            try:
                os.rmdir(folder)
            except OSError:
                return not os.path.exists(folder)
            return True
        wait_until(gone, f"the cgroup {folder} is empty")


class Member(Sockets):
    """What will be a workload: a cgroup, and in it a puppet whose sockets the scene uses."""

    def __init__(self, folder, path, namespace=None):
        self.cgroup = path.removeprefix(mount())  # as the agent calls it
        self.path, self.namespace, self.processes = path, namespace, []
        self.control = meet(os.path.join(folder, "puppet-" + secrets.token_hex(4)), self.start)

    def start(self, command, **how):
        """Start COMMAND there."""
        how = {"stdin": subprocess.DEVNULL, **how}
        inside = self.namespace.prefix if self.namespace else ()
        process = subprocess.Popen([*ENTER, self.path, *inside, *command], **how)
        self.processes.append(process)
        return process

    def run(self, *command, **how):
        """The same, to its end. Returns what it wrote."""
        process = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             **how)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, (command, process.returncode, out, err)
        return out

    def end(self):
        """Every process that was started here, not the cgroup."""
        if self.control:
            self.control.close()
        for process in self.processes:
            process.kill()
            process.wait(PATIENCE)
            for stream in process.stdin, process.stdout, process.stderr:
                if stream:
                    stream.close()
        self.processes.clear()


class Node:
    """The cgroups of a scene and who lives there. A context manager."""

    def __init__(self, folder):
        self.folder, self.tree, self.members = folder, Tree(), []

    def __enter__(self):
        self.tree.__enter__()
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.end()
        self.tree.__exit__()

    def member(self, name, namespace=None):
        """In a cgroup of that name, which may have slashes; NAMESPACE: another than the scene's."""
        member = Member(self.folder, self.tree.make(name), namespace)
        self.members.append(member)
        return member

    def remove(self, member):
        """As when a container ends: its processes go, then its cgroup."""
        member.end()
        self.members.remove(member)
        remove_cgroup(member.path)

    def workload(self, glob, name=None, **labels):
        """An entry of the agent's configuration. GLOB is below the scene's cgroup."""
        return {"name": name or glob.strip("*/").replace("/", "-") or "all", "labels": labels,
                "cgroup": os.path.join(self.tree.path.removeprefix(mount()), glob)}
