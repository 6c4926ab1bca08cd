# SPDX-License-Identifier: Apache-2.0
"""Processes of the bench: started so that they end with it, and what /proc says they cost."""
import ctypes
import os
import signal
import subprocess

# Seconds for anything that is waited for; an emulated machine needs more.
PATIENCE = int(os.environ.get("BENCH_PATIENCE") or 30)
GRACE = 10                  # between asking a process to end and ending it
PR_SET_PDEATHSIG = 1
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_libc = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """Something is not as it must be for a measurement to mean anything."""


def _end_with_parent(number):
    def before_exec():
        _libc.prctl(PR_SET_PDEATHSIG, number)
    return before_exec


class Process:
    """A program of the bench's own. Its output goes to a file, unless STREAMS
    say otherwise, and is shown when it fails."""

    def __init__(self, argv, output, death_signal=signal.SIGTERM, environment=None, **streams):
        self.argv, self.output = list(argv), output
        with open(output, "ab") as file:
            # A signal of the terminal is for the bench: it ends its processes in order. But one
            # session for all: the scheduler may give each session the same share (autogroup).
            self.process = subprocess.Popen(
                self.argv, **{"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file, **streams},
                env={**os.environ, **(environment or {})}, process_group=0,
                preexec_fn=_end_with_parent(death_signal))
        self.pid = self.process.pid

    def check(self):
        if self.process.poll() is not None:
            raise BenchError(f"{' '.join(self.argv)} ended with {self.process.returncode}:\n{self.said()}")

    def said(self):
        with open(self.output, encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


def children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def tree(pid):
    """PID and everything below it."""
    return [pid] + [below for child in children(pid) for below in tree(child)]


def _running_ns(pid):
    """What the threads of PID have run, and the children that it has waited for."""
    total = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        total += (int(fields[13]) + int(fields[14])) * TICK_NS
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def cpu_ns(pids):
    """CPU time that these processes have used, in user space and in the kernel on their behalf."""
    return sum(_running_ns(pid) for pid in pids)


def switches(pids):
    """How often these processes have stopped running, of their own will or not: what wakes them
    again costs others as well."""
    total = 0
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/status", encoding="ascii",
                          errors="replace") as file:
                    total += sum(int(line.split()[1]) for line in file
                                 if "_ctxt_switches:" in line)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


def rss_kib(pids):
    """Resident memory. What several processes share is counted for each of them."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total
