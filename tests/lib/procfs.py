# SPDX-License-Identifier: Apache-2.0
"""What /proc tells of a process, and waiting for something to become true."""
import os
import time

SANITIZED = bool(os.environ.get("SLUICE_SANITIZED"))
# How long anything may take before a scene fails. Generous: it is only waited for in failures.
USUAL_PATIENCE = 60 if SANITIZED else 20
PATIENCE = int(os.environ.get("SLUICE_PATIENCE", USUAL_PATIENCE))


def wait_until(condition, what, timeout=PATIENCE):
    """Call CONDITION until it is true, and return what it returned."""
    deadline = time.monotonic() + timeout
    pause = 0.0005
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def memory(pid, field="VmRSS"):
    """Bytes of resident memory; field VmHWM is the highest since forget_peak()."""
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise LookupError(field)


def forget_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as clear:
        clear.write("5")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def alive(pid):
    """A zombie is not alive."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command_lines():
    """{pid: arguments} of every process that has arguments."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                arguments = cmdline.read().decode(errors="replace").split("\0")[:-1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if arguments:
            found[int(pid)] = arguments
    return found


def cgroups_of_processes():
    """{pid: path in the cgroup2 tree} of every process."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cgroup") as groups:
                for line in groups:
                    if line.startswith("0::"):
                        found[int(pid)] = line[3:].strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def mounts():
    """[(mount point, type)] in this mount namespace."""
    with open("/proc/self/mountinfo") as table:
        rows = [line.split() for line in table]
    return [(row[4], row[row.index("-") + 1]) for row in rows]
