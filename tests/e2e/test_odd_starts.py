# SPDX-License-Identifier: Apache-2.0
"""`sluice run` from odd places: without standard descriptors, and under a cgroup that goes away."""
import pytest

from procfs import mounts

POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: nothing
spec:
  endpointSelector: {}
  egress: []
"""
IGNORING = ("import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
            "os.execv(sys.argv[1], sys.argv[1:])")
REFUSED = "python3 -c 'import socket; socket.socket().connect_ex((\"127.0.0.1\", 1))'"


@pytest.mark.held
@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_without_standard_descriptors(closed, sluice):
    """What sluice opens must not take their place."""
    result = sluice.run("sh", "-c", f"{REFUSED}; exit 7", policy=POLICY,
                        prefix=("sh", "-c", f'exec "$@" {closed}', "sh"))
    assert result.code == 7, result.err
    assert (result.denied("connect to 127.0.0.1:1 (TCP): no rule allows it") == 1) != ("2>" in closed)


@pytest.mark.held
def test_cgroup_that_is_removed_under_it(sluice):
    """Root can do it. The run ends all the same."""
    trees = [where for where, kind, *_ in mounts() if kind == "cgroup2"]
    result = sluice.run("sh", "-c", 'own=$(sed -n "s/^0:://p" /proc/self/cgroup) &&'
                        f'echo $$ > {trees[0]}/cgroup.procs && rmdir {trees[0]}$own && exit 3',
                        policy=POLICY, options=["--no-confine"])
    assert result.code == 3, result.err


@pytest.mark.held
def test_sigchld_ignored_at_the_start(sluice):
    """As some supervisors leave it. The command gets it as it was."""
    result = sluice.run("grep", "SigIgn", "/proc/self/status", policy=POLICY,
                        prefix=("/usr/bin/python3", "-c", IGNORING))
    assert result.code == 0, result.err
    assert int(result.out.split()[1], 16) & 1 << 16


@pytest.mark.held
@pytest.mark.parametrize("files", [24, 32])
def test_too_few_open_files(files, sluice):
    """It is not the kernel that is too old for the programs."""
    result = sluice.run("true", policy=POLICY, prefix=("prlimit", f"--nofile={files}"))
    assert result.code == 125
    assert result.err == ("sluice: too few files may be open for the BPF programs and maps: "
                          "raise `ulimit -n`\n")
