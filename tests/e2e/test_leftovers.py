# SPDX-License-Identifier: Apache-2.0
"""What a workload does to its sluice, and what is left of one that was killed; or of a scene."""
import os
import signal
import subprocess
import sys
import time

import pytest

import folders
from policies import http_policy
from procfs import PATIENCE, alive, wait_until
from servers import RawServer
from sluice import cleanup

pytestmark = pytest.mark.held

POLICY = http_policy("one-path", "- path: /ok")

# Six processes that are refused datagrams as fast as they can; ready after the first.
FLOOD = """
import os, signal, socket, sys
def flood():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        try:
            s.sendto(b"x", ("127.0.0.1", 9))
        except PermissionError:
            pass
for _ in range(6):
    if os.fork() == 0:
        flood()
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_flood_of_refusals_does_not_hold_back_signals(sluice):
    """Whoever is refused without end keeps sluice busy, but not from its other work."""
    run = sluice.start(sys.executable, "-c", FLOOD, policy=POLICY.format(port=1), log=True)
    wait_until(lambda: b"ready" in run.read("out"), "the flood")
    wait_until(lambda: len(run.read("log")) > 1 << 20, "sluice is behind")
    begun = time.monotonic()
    run.signal(signal.SIGTERM)
    result = run.wait(60)
    assert result.code == 7, result.err
    assert time.monotonic() - begun < PATIENCE / 2


# In a mount namespace without cgroup2, where sluice mounts a view of its own.
ELSEWHERE = ("unshare", "-m", "sh", "-c",
             "for m in $(grep -- ' - cgroup2 ' /proc/self/mountinfo | cut -d' ' -f5); do "
             "umount -l $m; done; exec \"$@\"", "sh")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


@pytest.mark.alone
def test_cleanup_from_elsewhere_frees_nobody(sluice, server):
    """Where the cgroup of the killed run cannot be seen, its processes stay refused."""
    workload = sluice.workload(POLICY.format(port=server.port), prefix=ELSEWHERE)
    child, = children(workload.pid)
    try:
        workload.kill()
        for _ in range(2):
            report = cleanup()
            assert report.returncode == 1 and "still live" in report.stderr, report
            with pytest.raises(PermissionError):
                workload.connect(server.address)
        with RawServer() as forbidden, pytest.raises(PermissionError):
            workload.connect(forbidden.address)
        assert server.nobody_came()
    finally:
        workload.control.close()
        wait_until(lambda: not alive(child), "the command ends")
        wait_until(lambda: cleanup().returncode == 0, "everything is removed")


def test_what_is_mounted_in_a_folder_does_not_go_with_it(folder):
    """Whatever a scene has left mounted, and however deep."""
    kept, gone = os.path.join(folder, "kept"), os.path.join(folder, "gone")
    os.makedirs(os.path.join(kept, "below"))
    os.makedirs(os.path.join(gone, "here"))
    files = [os.path.join(kept, "file"), os.path.join(kept, "below", "file")]
    subprocess.run(["mount", "-t", "tmpfs", "none", os.path.join(kept, "below")], check=True)
    for path in files:
        with open(path, "w") as file:
            file.write("mine")
    subprocess.run(["mount", "--rbind", kept, os.path.join(gone, "here")], check=True)
    folders.remove(gone)
    assert not os.path.exists(gone)
    assert all(os.path.exists(path) for path in files)
