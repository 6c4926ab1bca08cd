# SPDX-License-Identifier: Apache-2.0
"""Runs commands under `sluice run`, and reads what it says of them."""
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from socket import AF_INET, SOCK_STREAM

import leftovers
import puppet
from ends import End
from procfs import PATIENCE

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.path.realpath(os.path.join(ROOT, os.environ.get("SLUICE") or "build/sluice"))
PUPPET = os.path.join(os.path.dirname(os.path.realpath(__file__)), "puppet.py")
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
        arguments = list(prefix)
        if not self.direct:
            arguments += [BINARY, "run", *self._write(policies), *options, "--"]
        arguments += command
        streams = {"stdin": subprocess.DEVNULL, "stdout": self.files["out"],
                   "stderr": self.files["err"], **streams}
        self.process = subprocess.Popen(
            arguments, **streams,
            env={"UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1", **os.environ,
                 "SLUICE_STATS": os.path.join(self.folder, "stats"), **environment})
        self.pid = self.process.pid
        leftovers.our_runs.add(self.pid)

    def _write(self, policies):
        arguments = []
        for number, text in enumerate(policies):
            path = os.path.join(self.folder, f"policy-{number}.yaml")
            with open(path, "w") as file:
                file.write(text)
            arguments += ["-p", path]
        return arguments

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


class Workload(Run):
    """A run whose command is a puppet: it makes sockets in the workload for the scene to use."""

    def __init__(self, owner, *arguments):
        path = os.path.join(owner.folder, f"puppet-{len(owner.runs)}")
        self.control = None
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            os.chmod(path, 0o777)
            listener.listen()
            super().__init__(owner, [sys.executable, PUPPET, path], *arguments)
            self._meet(listener)
        os.unlink(path)

    def _meet(self, listener):
        pidfd = os.pidfd_open(self.pid)
        try:
            ready, _, _ = select.select([listener, pidfd], [], [], PATIENCE)
        finally:
            os.close(pidfd)
        if listener not in ready:
            raise AssertionError("sluice does not start its command: "
                                 f"{self.process.poll()} {self.read('err').decode()}")
        self.control, _ = listener.accept()
        self.control.settimeout(PATIENCE)

    def sockets(self, count, family=AF_INET, kind=SOCK_STREAM, protocol=0):
        return puppet.ask(self.control, family, kind, protocol, count)

    def socket(self, family=AF_INET, kind=SOCK_STREAM, protocol=0):
        return self.sockets(1, family, kind, protocol)[0]

    def connect(self, address, family=AF_INET):
        """A connection of the workload to ADDRESS."""
        sock = self.socket(family)
        try:
            sock.settimeout(PATIENCE)
            sock.connect(address[:2])
        except BaseException:
            sock.close()
            raise
        return End(sock, "client")

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
