# SPDX-License-Identifier: Apache-2.0
"""What `run` takes from its command, and what it leaves it."""
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import textwrap

import pytest

from attack import ESCAPE, landlock_version
from procfs import PATIENCE, alive, wait_until
from sluice import cleanup

pytestmark = pytest.mark.held
POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: confine
spec:
  endpointSelector: {}
  egress:
  - toPorts:
    - ports:
      - port: "1"
        protocol: TCP
"""
DROPPED = {"sys_admin": 21, "sys_ptrace": 19, "sys_module": 16, "sys_rawio": 17, "sys_boot": 22,
           "sys_chroot": 18, "dac_read_search": 2, "mknod": 27, "net_admin": 12, "net_raw": 13,
           "bpf": 39, "perfmon": 38}
SETS = "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"
WARNING = re.compile(r"sluice: --no-confine: [^\n]*\n")


def status_of(sluice, *options, prefix=()):
    result = sluice.run("cat", "/proc/self/status", policy=POLICY, options=options, prefix=prefix)
    fields = dict(line.split(":\t", 1) for line in result.out.decode().splitlines())
    return fields, result


def task_file(pid, name="children"):
    with open(f"/proc/{pid}/task/{pid}/{name}") as file:
        return file.read()


def mounts_of(text):
    """{mount point: (type, root, options)}; of mounts on the same point the last one."""
    rows = [line.split() for line in text.splitlines()]
    return {row[4]: (row[row.index("-") + 1], row[3], row[5]) for row in rows}


@pytest.mark.parametrize("prefix", [(), (
    "setpriv", "--inh-caps", "+net_raw,+sys_admin,+chown",
    "--ambient-caps", "+net_raw,+sys_admin,+chown")])
def test_capabilities_that_lead_out_are_in_no_set(prefix, sluice):
    fields, result = status_of(sluice, prefix=prefix)
    for name in SETS:
        left = [which for which, bit in DROPPED.items() if int(fields[name], 16) >> bit & 1]
        assert not left, (name, left)
    assert int(fields["CapEff"], 16) & 1, "CAP_CHOWN stays"
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert result.err == ""


def test_another_user_has_none(sluice):
    fields, _ = status_of(sluice, "--user", "nobody")
    assert [int(fields[name], 16) for name in SETS if name != "CapBnd"] == [0, 0, 0, 0]
    assert fields["NoNewPrivs"] == "1"


def test_no_confine_leaves_it_all_and_says_so(sluice):
    fields, result = status_of(sluice, "--no-confine")
    with open("/proc/self/status") as status:
        mine = dict(line.rstrip("\n").split(":\t", 1) for line in status)
    assert [fields[name] for name in SETS] == [mine[name] for name in SETS]
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == (mine["NoNewPrivs"], mine["Seccomp"])
    assert WARNING.fullmatch(result.err)
    there = sluice.run("cat", "/proc/self/mountinfo", policy=POLICY, options=["-n"])
    with open("/proc/self/mountinfo") as table:
        assert mounts_of(there.out.decode()) == mounts_of(table.read())


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_view_of_the_files_differs_where_it_must(user, sluice):
    result = sluice.run("cat", "/proc/self/mountinfo", policy=POLICY, options=["--user", user])
    inside = mounts_of(result.out.decode())
    with open("/proc/self/mountinfo") as table:
        outside = mounts_of(table.read())
    for point, (kind, root, options) in outside.items():
        now = inside.pop(point)
        if kind in ("cgroup", "cgroup2"):
            assert now == (kind, root, options.replace("rw", "ro", 1)), point
        elif kind == "bpf":
            assert now[0] == "tmpfs" and now[2].startswith("ro"), point
        elif user == "nobody" or kind not in ("debugfs", "tracefs", "securityfs", "configfs",
                                              "binfmt_misc"):
            assert now == (kind, root, options), point
    covered = {point for point, (kind, _, options) in inside.items() if options.startswith("ro")}
    assert covered == set(inside)
    assert "/run/sluice" in inside
    switches = {point for point in inside if point.endswith(("/proc/sys", "/sys/kernel",
                                                             "/sysrq-trigger"))}
    assert set(inside) - switches == {"/run/sluice"} and bool(switches) == (user == "root")


# In a mount namespace whose mounts are shared with others, but not with the machine's: by way of them
# what is mounted in a scene's folder would be mounted there as well.
SHARED = ("unshare", "--mount", "--propagation", "private",
          "sh", "-ec", 'mount --make-rshared /; exec "$@"', "sh")


def test_mounts_cross_in_one_direction(sluice, folder):
    """What is mounted outside later appears inside, and nothing of ours the other way round."""
    place = os.path.join(folder, "late")
    os.mkdir(place)
    script = f'until [ -e {place}/here ]; do sleep 0.01; done; cat {place}/here'
    run = sluice.start("sh", "-c", script, policy=POLICY, prefix=SHARED)

    wait_until(lambda: task_file(run.pid), "the command runs")
    enter = ["nsenter", f"--mount=/proc/{run.pid}/ns/mnt"]
    with open(f"/proc/{run.pid}/mountinfo") as table:
        before = table.read()
    assert "/run/sluice " not in before and "/proc/sys ro" not in before
    os.spawnvp(os.P_WAIT, enter[0], enter + [
        "sh", "-c", f"mount -t tmpfs none {place} && echo seen > {place}/new && "
                    f"mv {place}/new {place}/here"])
    result = run.wait()
    assert (result.code, result.out) == (0, b"seen\n")


CHROOT = """
for name in /*; do
    [ -d "$name" ] && [ ! -L "$name" ] || { cp -a "$name" "$0$name"; continue; }
    mkdir "$0$name" && mount --rbind "$name" "$0$name"
done
exec chroot "$0" "$@"
"""


def test_in_a_chroot(sluice, folder):
    """Its "/" is no mount, and what is around it must neither change nor be reached."""
    place = os.path.join(folder, "root")
    os.mkdir(place)
    prefix = [*SHARED, "sh", "-ec", CHROOT, place]
    run = sluice.start("sh", "-c", "pwd; cat /proc/self/mountinfo; chroot / true || echo held; "
                       "read line", policy=POLICY, prefix=prefix, stdin=-1)
    wait_until(lambda: b"held" in run.read("out"), "the command runs")
    with open(f"/proc/{run.pid}/mountinfo") as table:
        assert not re.search(r"tmpfs none ro,", table.read())
    run.process.stdin.close()
    run.wait()
    where, _, rest = run.read("out").decode().partition("\n")
    inside = mounts_of(rest.rpartition("held")[0])
    assert where == "/"
    trees = [options for kind, _, options in inside.values() if kind == "cgroup2"]
    assert trees and all(options.startswith("ro") for options in trees), inside


@pytest.mark.parametrize("user, script", [
    ("root", "unshare -Urm sh -c 'mount -t tmpfs none /mnt && id -u'"),
    ("nobody", "unshare -Urm sh -c 'mount -t tmpfs none /mnt && id -u'"),
    ("nobody", "unshare -Urpfm --mount-proc sh -c 'test $$ = 1 && ls -d /proc/1 >&2; id -u'"),
    ("nobody", "unshare -Urn sh -c 'ip link set lo up && id -u'"),
])
def test_sandboxes_of_programs_work(user, script, sluice):
    if user == "root" and landlock_version() < 6:
        pytest.skip("nothing can be mounted in user namespaces of root's before Linux 6.12")
    result = sluice.run("sh", "-c", script, policy=POLICY, options=["--user", user])
    assert (result.code, result.out) == (0, b"0\n"), result.err


def test_words_are_not_typed_into_the_terminal(sluice):
    facts = json.dumps({"tcp": 0, "http": 0})
    reports = []
    for options in [], ["--no-confine"]:
        primary, secondary = pty.openpty()
        run = sluice.start("/usr/bin/python3", ESCAPE, "type_into_terminal", facts, policy=POLICY,
                           options=options, prefix=["setsid", "--ctty"], stdin=secondary)
        os.close(secondary)
        assert run.wait().code == 0, run.result.err
        reports.append(json.loads(run.result.out))
        os.close(primary)
    assert list(reports[0].values()) == ["EPERM", "EPERM", "ok"]
    assert list(reports[1].values()) == ["ok", "ok", "ok"]


# In a Landlock domain nobody mounts anything: a machine on which confinement is not possible.
NO_MOUNTS = textwrap.dedent("""
    import ctypes, os, sys
    libc = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer((1 << 11).to_bytes(8, sys.byteorder))
    domain = libc.syscall(444, attributes, 8, 0)
    assert domain >= 0 and libc.prctl(38, 1, 0, 0, 0) == 0 and libc.syscall(446, domain, 0) == 0
    os.execvp(sys.argv[1], sys.argv[1:])
""")


def test_command_that_cannot_be_confined_is_not_started(sluice):
    if landlock_version() < 1:
        pytest.skip("no Landlock in this kernel")
    prefix = [sys.executable, "-c", NO_MOUNTS]
    result = sluice.run("echo", "started", policy=POLICY, prefix=prefix)
    assert (result.code, result.out) == (125, b"")
    assert re.fullmatch(r"sluice: cannot confine the command \([^\n]*\); --no-confine [^\n]*\n",
                        result.err), result.err
    result = sluice.run("echo", "started", policy=POLICY, prefix=prefix, options=["--no-confine"])
    assert (result.code, result.out) == (0, b"started\n")


def ends_with_core(process):
    """Let it crash: was a core written?"""
    process.send_signal(signal.SIGSEGV)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -signal.SIGSEGV
    assert os.WTERMSIG(status) == signal.SIGSEGV
    return os.WCOREDUMP(status)


@pytest.mark.alone
def test_memory_of_sluice_is_in_no_core(sluice, folder):
    """It holds requests and their credentials."""
    everything = resource.RLIM_INFINITY
    prefix = ["prlimit", f"--core={everything}:{everything}", "env", f"--chdir={folder}"]
    with subprocess.Popen([*prefix, "sleep", "1000"]) as other:
        wait_until(lambda: task_file(other.pid, "comm") == "sleep\n", "it sleeps")
        if not ends_with_core(other):
            pytest.skip("this machine writes no cores")
    run = sluice.start("sleep", "1000", policy=POLICY, prefix=prefix,
                       environment={"ASAN_OPTIONS": "handle_segv=0"})
    wait_until(lambda: task_file(run.pid), "the command runs")
    child = int(task_file(run.pid))
    try:
        assert not ends_with_core(run.process)
    finally:
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: not alive(child), "the command ends")
        wait_until(lambda: cleanup().returncode == 0, "cleanup", PATIENCE)
