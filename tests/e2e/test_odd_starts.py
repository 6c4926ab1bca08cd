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
                        policy=POLICY)
    assert result.code == 3, result.err
