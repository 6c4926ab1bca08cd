# SPDX-License-Identifier: Apache-2.0
"""Attempts to make other processes do it, to end sluice, and to be quicker than it."""
import ctypes
import fcntl
import os
import signal
import socket
import struct
import termios
import time

from escape import SECRET, attempt, check, deliver, libc, syscall

PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 16, 17, 0x4206, 0x4207
CROWD = 1000


def _ptrace(request, pid):
    return check(libc.ptrace(ctypes.c_long(request), ctypes.c_long(pid), ctypes.c_long(0),
                             ctypes.c_long(0)))


def _write_memory(pid, address):
    text = ctypes.create_string_buffer(SECRET)
    here = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(text), len(SECRET)))
    there = ctypes.create_string_buffer(struct.pack("=QQ", address, len(SECRET)))
    syscall("process_vm_writev", pid, here, 1, there, 1, 0)


def _write_file(pid, address):
    with open(f"/proc/{pid}/mem", "r+b", 0) as memory:
        memory.seek(address)
        memory.write(SECRET)


def _borrow(report, pid, fd):
    def take():
        process = syscall("pidfd_open", pid, 0)
        return syscall("pidfd_getfd", process, fd, 0)

    taken = report.tried(f"take {fd} of a process", take)
    if taken:
        report.tried("send by it", os.write, taken, SECRET)


def _trace(request, pid):
    _ptrace(request, pid)
    if request == PTRACE_SEIZE:
        _ptrace(PTRACE_INTERRUPT, pid)
    os.waitpid(pid, 0)
    _ptrace(PTRACE_DETACH, pid)


@attempt
def trace(report, facts):
    """sluice, and a process of the same user that is not in the workload. Only the latter where
    nothing holds us back."""
    for name in ("sluice", "outsider") if facts["confined"] else ("outsider",):
        pid = facts[name]
        for request in PTRACE_ATTACH, PTRACE_SEIZE:
            report.tried(f"trace {name} {request}", _trace, request, pid)
        report.tried(f"memory of {name}", _write_memory, pid, facts["address"])
        report.tried(f"memory file of {name}", _write_file, pid, facts["address"])
        report.tried(f"maps of {name}", lambda pid=pid: open(f"/proc/{pid}/maps").read())
        for fd in [facts["fd"]] if name == "outsider" else range(3, 60):
            _borrow(report, pid, fd)


@attempt
def trace_own(report, facts):
    """What debuggers do with processes that they start works as always."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
    report.tried("trace a child", _ptrace, PTRACE_ATTACH, pid)
    report.tried("memory of a child", lambda: open(f"/proc/{pid}/maps").read())
    report.tried("kill a child", os.kill, pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@attempt
def kill_sluice(report, facts):
    """And take its ports, to be given what it was to judge."""
    report.tried("kill", os.kill, facts["sluice"], signal.SIGKILL)
    print("tried", flush=True)
    while os.getppid() == facts["sluice"]:  # if we may not, the scene does it
        time.sleep(0.01)
    impostors = []
    for port in facts["listeners"]:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Its parent is gone a moment before its sockets are.
        until = time.monotonic() + 2
        while True:
            report.tried("take the port", sock.bind, ("127.0.0.1", port))
            if report["take the port"] != "EADDRINUSE" or time.monotonic() >= until:
                break
            time.sleep(0.01)
        if report["take the port"] == "ok":
            sock.listen()
        impostors.append(sock)
    with socket.socket() as sock:
        sock.settimeout(5)
        report.tried("connect", sock.connect, ("127.0.0.1", facts["http"]))
        report.tried("send", sock.send, b"GET /no HTTP/1.1\r\n\r\n")
    deliver(report, facts)


@attempt
def crowd(report, facts):
    """Many processes that try while others start and end; some are there when the command ends."""
    for number in range(CROWD):
        if os.fork():
            continue
        os.setsid()
        if number % 10 == 0 and os.fork():
            os._exit(0)
        deadline = 200 if number % 10 == 0 else 1
        for _ in range(deadline):
            deliver(Quiet, facts)
        os._exit(0)
    for _ in range(CROWD):
        os.wait()
    report["crowd"] = "ok"


class Quiet:
    @staticmethod
    def tried(_, function, *arguments):
        try:
            function(*arguments)
        except OSError:
            pass


@attempt
def type_into_terminal(report, facts):
    """Words for the shell that waits outside."""
    for request in (termios.TIOCSTI, termios.TIOCSTI | 1 << 32):
        def push(request=request):
            check(libc.ioctl(0, ctypes.c_ulong(request), ctypes.c_char_p(b"#")))
        report.tried(f"type {request:x}", push)
    report.tried("size", fcntl.ioctl, 0, termios.TIOCGWINSZ, bytes(8))


@attempt
def passed_in(report, facts):
    """What cannot be held: a process outside hands over a connection of its own."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(facts["unix"])
        _, fds, _, _ = socket.recv_fds(sock, 10, 1)
    report.tried("send by it", os.write, fds[0], SECRET)
