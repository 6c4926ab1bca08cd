# SPDX-License-Identifier: Apache-2.0
"""Runs `sluice run` and `sluice agent`, and reads what they say."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time

import leftovers
import puppet
from procfs import PATIENCE, wait_until
from workload import Sockets, meet

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.path.realpath(os.path.join(ROOT, os.environ.get("SLUICE") or "build/sluice"))
DENIAL = re.compile(r"^denied (\d+)× (.*)$")
AUDIT = re.compile(r"^would have denied (\d+)× (.*)$")
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehavior|runtime error:")
# What must be zero when sluice has ended.
EMPTY_AT_END = "conn.open", "flows.open", "buffers.in_use"


class Result:
    """What a run left behind: its exit code, its output, its reports."""

    def __init__(self, run, code):
        self.pid, self.code = run.pid, code
        self.out = run.read("out")
        self.err = run.read("err").decode(errors="surrogateescape")
        self.log = [json.loads(line) for line in run.read("log").decode().splitlines()]
        self.stats = json.loads(run.read("stats") or "{}")
        lines = self.err.splitlines()
        self.denials = [line for line in lines if DENIAL.match(line)]
        self.audits = [line for line in lines if AUDIT.match(line)]
        self.other_lines = [line for line in lines
                            if not DENIAL.match(line) and not AUDIT.match(line)]

    def closed(self, reason):
        """How many connections ended for this reason."""
        return self.stats.get("close." + reason, 0)

    def denied(self, text):
        """How often the denial whose line contains TEXT happened."""
        return sum(int(DENIAL.match(line)[1]) for line in self.denials if text in line)

    def audited(self, text):
        """The same for what passed in audit."""
        return sum(int(AUDIT.match(line)[1]) for line in self.audits if text in line)


class Run:
    """A `sluice run` that is going on."""

    def __init__(self, owner, command, options, policies, prefix, environment, streams):
        self.result, self.process = None, None
        self.folder = os.path.join(owner.folder, f"run-{len(owner.runs)}")
        os.mkdir(self.folder, 0o755)
        owner.runs.append(self)
        self.direct = owner.direct
        # Appended to, as the command may have the same file as its own standard error.
        self.files = {name: open(os.path.join(self.folder, name), "ab") for name in ("out", "err")}
        streams = {"stdin": subprocess.DEVNULL, "stdout": self.files["out"],
                   "stderr": self.files["err"], **streams}
        arguments = self._arguments(command, options, policies)
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*prefix, *arguments], **streams,
            env={"UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1", **os.environ,
                 "SLUICE_STATS": os.path.join(self.folder, "stats"), **environment})
        self.pid = self.process.pid
        leftovers.our_runs.add(self.pid)

    def _arguments(self, command, options, policies):
        if self.direct:
            return command
        arguments = [BINARY, "run"]
        for number, text in enumerate(policies):
            path = os.path.join(self.folder, f"policy-{number}.yaml")
            with open(path, "w") as file:
                file.write(text)
            arguments += ["-p", path]
        return [*arguments, *options, "--", *command]

    def read(self, name):
        try:
            with open(os.path.join(self.folder, name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """What no program can prevent: SIGKILL. What it leaves is the scene's business."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._close_files()

    def wait(self, timeout=PATIENCE):
        """Wait for the end, and check what must hold at the end of every run."""
        if self.result:
            return self.result
        self.process.wait(timeout)
        self._close_files()
        self.result = Result(self, self.process.returncode)
        assert not SANITIZER.search(self.result.err), self.result.err
        if self.result.stats:
            left = {name: self.result.stats[name] for name in EMPTY_AT_END
                    if self.result.stats.get(name, "missing") != 0}
            assert not left, f"not empty at the end: {left}"
        return self.result

    def _close_files(self):
        for file in self.files.values():
            file.close()

    def end(self):
        """For a scene that failed: end it by force, and show what it said."""
        if not self.result and self.process:
            print(f"sluice {self.pid}: exit code {self.process.poll()}, standard error:\n"
                  + self.read("err").decode(errors="replace"))
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._close_files()


class Workload(Sockets, Run):
    """A run whose command is a puppet: it makes sockets in the workload for the scene to use."""

    def __init__(self, owner, *arguments):
        def start(command):
            super(Workload, self).__init__(owner, command, *arguments)
            return self.process

        self.control = meet(os.path.join(owner.folder, f"puppet-{len(owner.runs)}"), start)

    def finish(self, code=0):
        """End the command, and with it the run."""
        if not self.result:
            puppet.ask_to_exit(self.control, code)
            self.control.close()
            result = self.wait()
            assert result.code == code, (result.code, result.err)
        return self.result

    def end(self):
        if self.control:
            self.control.close()
        super().end()


class Agent(Run):
    """A `sluice agent`. CONFIG is what its file says beside what is filled in here; POLICIES are
    the files of its directory, {name: text}."""

    def __init__(self, owner, config, policies, prefix, environment, streams):
        self.config, self.policies = config, dict(policies)
        super().__init__(owner, [], (), (), prefix, environment, streams)

    def _arguments(self, command, options, policies):
        os.mkdir(os.path.join(self.folder, "policies"))
        for name, text in self.policies.items():
            self.put(os.path.join("policies", name), text)
        if self.config.get("log") is True:
            self.config["log"] = os.path.join(self.folder, "log")
        self.config = {"policies": os.path.join(self.folder, "policies"),
                       "state": os.path.join(self.folder, "state"), **self.config}
        self.put_config(self.config)
        return [BINARY, "agent", "--config", os.path.join(self.folder, "agent.yaml")]

    def put(self, name, text):
        """A file of its, as a whole."""
        path = os.path.join(self.folder, name)
        with open(path + "~", "w") as file:
            file.write(text)
        os.rename(path + "~", path)

    def put_config(self, config):
        self.put("agent.yaml", json.dumps(config))

    def remove(self, name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.folder, name))

    def status(self):
        """What `sluice status --json` would print, as it is in Python."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(os.path.join(self.config["state"], "status"))
            with sock.makefile() as document:
                return json.load(document)

    def answer(self):
        """The status, or None: it does not answer yet."""
        assert self.process.poll() is None, f"the agent has ended: {self.process.poll()}"
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            return self.status()

    def wait_until(self, condition, what):
        """Until CONDITION holds of the status. Returns what it returned."""
        def ask():
            status = self.answer()
            return status and condition(status)
        return wait_until(ask, what)

    def wait_for(self, *members):
        """The agent enforces the policies of all of these, if any select them."""
        paths = {member.cgroup for member in members}
        self.wait_until(lambda status: paths <= {w["cgroup"] for w in status["workloads"]
                                                 if w["enforced"] or not w["policies"]},
                        f"the workloads {paths}")
        return self

    def change(self, policies=(), **config):
        """New files of policies, {name: text or None}, or other keys of the configuration, which
        come into force first: back when all of it is in force."""
        if policies and config:     # two files: in between the agent may read them
            self.change(**config)
            config = {}
        before = self.status()["revision"]["number"]
        for name, text in dict(policies).items():
            if text is None:
                self.remove(os.path.join("policies", name))
            else:
                self.put(os.path.join("policies", name), text)
        if config:
            self.config.update(config)
            self.put_config(self.config)
        self.wait_until(lambda status: status["revision"]["number"] > before
                        and status["revision"]["settled"], "a change")

    def finish(self):
        """Its orderly end."""
        if not self.result:
            self.signal(signal.SIGTERM)
            result = self.wait()
            assert result.code == 0, (result.code, result.err)
        return self.result


class Sluice:
    """Makes runs, and ends those that a failed scene left. A context manager."""

    def __init__(self, folder, direct=False):
        self.folder, self.direct = folder, direct
        self.runs = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for run in self.runs:
            run.end()

    def _arguments(self, policy, log, workers, options, prefix, environment, streams):
        options = list(options)
        policies = [policy] if isinstance(policy, str) else list(policy or [])
        if log:
            folder = os.path.join(self.folder, f"run-{len(self.runs)}")
            options += ["--log", os.path.join(folder, "log")]
        if workers:
            options += ["--workers", str(workers)]
        return options, policies, prefix, environment or {}, streams

    def start(self, *command, policy=None, log=False, workers=None, options=(), prefix=(),
              environment=None, **streams):
        """Start COMMAND under `sluice run`. POLICY is the text of one, or a list of texts. PREFIX
        is a command that starts sluice itself; STREAMS goes to subprocess.Popen."""
        return Run(self, list(command),
                   *self._arguments(policy, log, workers, options, prefix, environment, streams))

    def run(self, *command, timeout=PATIENCE, **how):
        """The same, to its end."""
        return self.start(*command, **how).wait(timeout)

    def workload(self, policy=None, log=False, workers=None, options=(), prefix=(),
                 environment=None, **streams):
        """A workload whose sockets the scene itself uses."""
        return Workload(self, *self._arguments(policy, log, workers, options, prefix, environment,
                                               streams))

    def agent(self, workloads, policies=(), prefix=(), environment=None, streams=None, **config):
        """A `sluice agent` that holds these WORKLOADS, as its configuration has them."""
        return Agent(self, {"workloads": list(workloads), **config}, policies, prefix,
                     environment or {}, streams or {})

    def command(self, *arguments, **how):
        """Another command of sluice's: check, cleanup, --version."""
        return subprocess.run([BINARY, *arguments], capture_output=True, text=True,
                              timeout=PATIENCE, **how)


def cleanup():
    """`sluice cleanup`, for what a killed sluice left."""
    return subprocess.run([BINARY, "cleanup"], capture_output=True, text=True, timeout=PATIENCE)


def kill_now(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
