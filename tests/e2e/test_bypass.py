# SPDX-License-Identifier: Apache-2.0
"""A command that means to get around its policy does not: not a byte arrives where none may.

Each attempt is made as root and as another user. That the attempts are real, and what cannot be
held, is shown as well."""
import json
import os
import platform
import signal
import socket

import pytest

from attack import Attack, landlock_version, passed
from procfs import PATIENCE, wait_until
from sluice import cleanup

pytestmark = pytest.mark.held
SOCKETS = ("multipath", "sctp", "raw", "packet", "fast_open", "names", "sources", "quic",
           "own_network", "listener", "join_listener", "source_port")
CGROUP = "leave", "leave_by_new_mount", "leave_by_processes", "leave_by_handle", "detach"


@pytest.fixture(params=["root", "nobody"])
def attack(request, sluice, folder):
    with Attack(sluice, folder, request.param) as scene:
        yield scene


@pytest.fixture
def as_root(sluice, folder):
    with Attack(sluice, folder, "root") as scene:
        yield scene


def needs_domain(user):
    """docs/security.md says what older kernels do not hold."""
    if landlock_version() < (2 if user == "root" else 6):
        pytest.skip("this kernel's Landlock is too old")


@pytest.mark.parametrize("name", SOCKETS + CGROUP)
def test_nothing_arrives(name, attack):
    if name == "leave_by_processes":
        needs_domain(attack.user)
    report = attack.run(name)
    assert attack.delivered() == b"", report
    assert "ok" not in [report.get("deliver by TCP"), report.get("deliver by UDP")], report


@pytest.mark.parametrize("name", [
    "packet", "leave", "leave_by_processes", "leave_by_handle", "detach"])
def test_the_attempts_are_real(name, as_root):
    """Unconfined, root gets out by each of them."""
    report = as_root.run(name, options=["--no-confine"], facts={"confined": False})
    assert b"SECRET" in as_root.delivered(), report


def test_no_family_that_no_hook_sees(attack):
    """By no name and no number: what is left is Unix, IPv4, IPv6 and netlink."""
    report = attack.run("families")
    assert passed(report) <= {"socket 1", "socketpair 1", "socket 2", "socket 10", "socket 16",
                              "socket 38"}, report
    assert {"socket 1", "socketpair 1", "socket 2", "socket 16"} <= passed(report), report


def test_no_family_by_other_system_calls(attack):
    report = attack.run("other_tables")
    assert passed(report) <= {"int80 socket inet"}, report


def test_the_other_system_calls_are_real(as_root):
    report = as_root.run("other_tables", options=["--no-confine"])
    if platform.machine() == "x86_64":  # elsewhere there is one table
        assert {"int80 socketcall packet", "int80 socketcall inet",
                "int80 socket packet"} <= passed(report), report


def test_no_rings(attack):
    assert set(attack.run("rings").values()) == {"ENOSYS"}


def test_the_rings_are_real(as_root):
    assert as_root.run("rings", options=["--no-confine"])["io_uring_setup"] == "ok"


def test_nobody_outside_is_traced(attack):
    """Neither sluice nor a process of the same user: not its memory, not its sockets."""
    needs_domain(attack.user)
    report = attack.run("trace")
    assert passed(report) == set(), report
    assert attack.outsider.memory() == "HARMLESS"
    assert attack.delivered() == b""


def test_tracing_is_real(as_root):
    report = as_root.run("trace", options=["--no-confine"], facts={"confined": False})
    assert len(passed(report)) == len(report) == 7, report
    assert as_root.outsider.memory() == "SECRETSS"
    assert as_root.delivered() == b"SECRET"


def test_debuggers_of_their_own_children_work(attack):
    report = attack.run("trace_own")
    assert len(passed(report)) == len(report) == 3, report


def test_the_kernel_starts_no_program_for_root(as_root):
    """core_pattern and its kin, also by a /proc that is mounted anew."""
    report = as_root.run("switches")
    assert passed(report) == set(), report
    assert "/proc/sys/kernel/core_pattern" in report


@pytest.mark.alone
def test_sluice_is_killed_and_its_port_taken(attack):
    run = attack.start("kill_sluice")
    try:
        wait_until(lambda: b"tried" in run.read("out"), "the attempt to kill")
        run.signal(signal.SIGKILL)
        run.process.wait(PATIENCE)
        report = json.loads(wait_until(lambda: run.read("out").splitlines()[1:], "the report")[0])
        assert "ok" not in (report["connect"], report["deliver by TCP"], report["deliver by UDP"])
        assert attack.delivered() == b"", report
    finally:
        wait_until(lambda: cleanup().returncode == 0, "cleanup")


def test_the_state_of_runs_is_hidden(as_root):
    assert as_root.run("detach")["state"] == ""


def test_a_crowd_gets_nowhere(attack):
    """Some of it is there when the command ends, and tries on."""
    attack.run("crowd")
    assert attack.delivered() == b""


# What the command was given

def test_directories_that_are_passed_on_lead_nowhere(attack):
    """Opened before the command had a view of its own. They stay what they were otherwise."""
    tree = json.loads(attack.facts({}))["tree"]
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in ("/", tree, attack.folder)]
    fds.append(os.open("/", os.O_PATH | os.O_DIRECTORY))
    fds.append(os.open(tree + "/cgroup.procs", os.O_WRONLY))
    for fd in fds:
        os.set_inheritable(fd, True)
    try:
        report = attack.run("leave_by_passed_files", facts={"fds": fds}, close_fds=False)
    finally:
        for fd in fds:
            os.close(fd)
    assert attack.delivered() == b"", report
    assert {f"list {fds[0]}", f"list {fds[2]}"} <= passed(report), report
    assert report[f"list {fds[1]}"] == report[f"write to {fds[4]}"] == "EBADF", report


@pytest.mark.parametrize("where", ["/sys/fs/bpf", "/run/sluice", "tree"])
def test_working_directory_leads_nowhere(where, as_root):
    """It may be below what the command must not see."""
    where = json.loads(as_root.facts({}))["tree"] if where == "tree" else where
    for name in "detach", "leave":
        report = as_root.run(name, cwd=where)
        assert as_root.delivered() == b"", report
        assert "a pin" not in report, report


def test_working_directory_stays(attack):
    result = attack.sluice.run("pwd", policy=attack.policy, cwd=attack.folder)
    assert result.out.decode() == attack.folder + "\n"


def test_what_cannot_be_held_a_connection_from_outside(as_root):
    """docs/security.md says so: who is outside and hands over a connection is not stopped."""
    path = os.path.join(as_root.folder, "unix")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(PATIENCE)
        run = as_root.start("passed_in", facts={"unix": path})
        with listener.accept()[0] as control, as_root.namespace.inside():
            outside = socket.create_connection(as_root.tcp.address)
            with outside:
                socket.send_fds(control, [b"x"], [outside.fileno()])
        run.wait()
        assert as_root.tcp.accept().read(6) == b"SECRET"
