# SPDX-License-Identifier: Apache-2.0
"""as_unit.py UNIT WRITABLE[:...] COMMAND...: become COMMAND under the limits that a unit of systemd has, for
machines on which no systemd runs: what may be written, capabilities, system calls."""
import configparser
import ctypes
import errno
import os
import subprocess
import sys

import seccomp

CLONE_NEWNS = 0x00020000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
LIBC = ctypes.CDLL(None, use_errno=True)


def service(path):
    """The section of the unit, each key once."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read(path)
    return parser["Service"]


def _checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _mount(source, target, flags):
    _checked(LIBC.mount(source and source.encode(), target.encode(), None, flags, None))


def _points():
    with open("/proc/self/mountinfo") as rows:
        return [row.split(" ")[4] for row in rows]


def restrict_mounts(writable):
    """ProtectSystem=strict and what stands beside it: everything is read-only but WRITABLE and the
    kernel's own."""
    _checked(LIBC.unshare(CLONE_NEWNS))
    _mount(None, "/", MS_REC | MS_PRIVATE)
    for path in writable:
        _mount(path, path, MS_BIND)
    for point in _points():
        if not point.startswith(("/proc", "/dev", *writable)):
            _mount(None, point, MS_REMOUNT | MS_BIND | MS_RDONLY)


def system_calls(words):
    """Groups are as this systemd has them."""
    for word in words.split():
        if not word.startswith("@"):
            yield word
            continue
        listing = subprocess.run(["systemd-analyze", "syscall-filter", word], check=True,
                                 capture_output=True, text=True).stdout
        lines = (line.strip() for line in listing.splitlines()[1:])
        yield from system_calls(" ".join(line for line in lines if line and line[0] != "#"))


def restrict_calls(words):
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in set(system_calls(words)):
        number = seccomp.resolve_syscall(seccomp.Arch(), name)
        if number >= 0:         # of this processor
            rules.add_rule(seccomp.ALLOW, name)
    rules.load()


def main(unit, writable, command):
    limits = service(unit)
    capabilities = [word.removeprefix("CAP_").lower()
                    for word in limits["CapabilityBoundingSet"].split()]
    runtime = "/run/" + limits["RuntimeDirectory"]
    os.makedirs(runtime, int(limits["RuntimeDirectoryMode"], 8), exist_ok=True)
    restrict_mounts([*limits["ReadWritePaths"].split(" "), *writable.split(":")])
    if limits.getboolean("MemoryDenyWriteExecute"):
        _checked(LIBC.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0))
    restrict_calls(limits["SystemCallFilter"])
    os.execvp("setpriv", ["setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set="
                          + ",".join(["-all", *(f"+{name}" for name in capabilities)]), *command])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
