# SPDX-License-Identifier: Apache-2.0
"""What sluice could leave behind on this machine: looked at before a scene and after it.

With SLUICE_SHARED_MACHINE set, others run sluice here at the same time: then only that is looked at
which names one of our own runs."""
import ctypes
import errno
import fcntl
import json
import os
import platform
import re
import struct
import subprocess

import procfs

STATE = "/run/sluice"
SHARED = bool(os.environ.get("SLUICE_SHARED_MACHINE"))
our_runs = set()  # process ids of every sluice that scenes started; the id of a run begins with it
BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
NEXT_ID = {"prog": 11, "map": 12, "link": 31}  # BPF_PROG_GET_NEXT_ID and so on
RUN_ID = re.compile(r"/(?:sluice-|agent-)?(\d+)-[0-9a-f]{8}")
MOUNTS = "cgroup2", "bpf"
_libc = ctypes.CDLL(None, use_errno=True)


def bpf_ids(kind):
    """The ids of all BPF objects of one kind in this kernel."""
    found, attr = set(), ctypes.create_string_buffer(struct.pack("=III", 0, 0, 0))
    while _libc.syscall(BPF_SYSCALL, NEXT_ID[kind], attr, 12) == 0:
        number = struct.unpack_from("=I", attr, 4)[0]
        found.add(number)
        attr = ctypes.create_string_buffer(struct.pack("=III", number, 0, 0))
    if ctypes.get_errno() != errno.ENOENT:
        raise OSError(ctypes.get_errno(), f"cannot list BPF {kind}s")
    return found


def _runs_of_others():
    """Ids of runs that live now (their file is locked) and so belong to somebody else."""
    alive = set()
    for name in os.listdir(STATE) if os.path.isdir(STATE) else ():
        try:
            with open(os.path.join(STATE, name), "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alive.add(name)
        except OSError:
            continue
    return alive


def pins():
    for mount, kind in procfs.mounts():
        if kind == "bpf":
            for folder, folders, files in os.walk(os.path.join(mount, "sluice")):
                yield from (os.path.join(folder, name) for name in folders + files)


def _cgroups():
    for mount, kind in procfs.mounts():
        if kind == "cgroup2":
            for folder, folders, _ in os.walk(mount):
                yield from (os.path.join(folder, name) for name in folders
                            if name.startswith("sluice-"))


def _state_files():
    for folder, folders, files in os.walk(STATE):
        # The lock of that folder stays: removing it would race with whoever waits for it.
        yield from (os.path.join(folder, name) for name in files
                    if os.path.join(folder, name) != os.path.join(STATE, "lock"))
        yield from (os.path.join(folder, name) for name in folders if folder != STATE)


def _processes():
    return (f"process {pid} in {group}" for pid, group in procfs.cgroups_of_processes().items()
            if "/sluice-" in group)


def look():
    """A set of every thing that sluice makes, as far as it exists now."""
    others = _runs_of_others()
    found = {thing for source in (_state_files, pins, _cgroups, _processes) for thing in source()
             if not any(run in thing for run in others)}
    if SHARED:
        return {thing for thing in found if _is_ours(thing)}
    found |= {f"mount {kind} {path}" for path, kind in procfs.mounts() if kind in MOUNTS}
    return found | {(kind, number) for kind in NEXT_ID for number in bpf_ids(kind)}


def _is_ours(thing):
    return any(int(pid) in our_runs for pid in RUN_ID.findall(thing))


# Mounted once if nobody did, for all who come later, as systemd does where it runs.
SHARED_MOUNTS = {"mount bpf /sys/fs/bpf"}


def _describe(kind, number):
    shown = subprocess.run(["bpftool", "-j", kind, "show", "id", str(number)],
                           capture_output=True, text=True)
    try:
        return json.loads(shown.stdout)
    except ValueError:
        return {"error": shown.stdout + shown.stderr}


def _held_by_others(details):
    """The object belongs to a process that lives and is no child of ours: another user's work."""
    mine = os.getpid()
    return any(procfs.alive(p["pid"]) and p["pid"] != mine and not _descends(p["pid"], mine)
               for p in details.get("pids", ()))


def _descends(pid, ancestor):
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            with open(f"/proc/{pid}/stat") as stat:
                pid = int(stat.read().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return False
    return False


def check(before):
    """Nothing is there that was not BEFORE. The kernel frees BPF objects a moment after their last
    reference went, so this waits a little."""
    left = look() - before - SHARED_MOUNTS
    try:
        procfs.wait_until(lambda: not look() - before - SHARED_MOUNTS, "nothing is left",
                         3 * procfs.PATIENCE / procfs.USUAL_PATIENCE)
        return
    except TimeoutError:
        left = look() - before - SHARED_MOUNTS
    lines = []
    for thing in sorted(left, key=str):
        if isinstance(thing, str):
            lines.append(thing)
            continue
        details = _describe(*thing)
        if "error" not in details and not _held_by_others(details):
            lines.append(f"BPF {thing[0]} {details}")
    assert not lines, "left behind:\n" + "\n".join(lines)
