# SPDX-License-Identifier: Apache-2.0
"""The unit that is installed, under the systemd that runs a machine (./checks): services are
workloads, and everything that systemctl does to the agent leaves them held."""
import glob
import itertools
import os
import subprocess

import pytest

from policies import app, document, http
from procfs import wait_until
from sluice import ROOT

UNIT = "sluice-agent"
PORT = 8080
CONFIG = """
policies: /etc/sluice/policies
log: /var/log/sluice/records
workloads:
- {name: client, labels: {app: client}, cgroup: "/system.slice/client-*.service"}
"""
NUMBERS = itertools.count()


def do(*command, code=0):
    done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == code, (command, done.stdout, journal())
    return done.stdout


def journal():
    return subprocess.run(["journalctl", "--no-pager", "-n", "40", "-u", UNIT], text=True,
                          stdout=subprocess.PIPE, check=False).stdout


def show(name):
    return do("systemctl", "show", "--value", "-p", name, UNIT).strip()


def ask(path, name="client"):
    """The status that a new service gets for PATH; 0: no answer."""
    return int(subprocess.run(
        ["systemd-run", "--quiet", "--pipe", "--wait", "--collect",
         f"--unit={name}-{next(NUMBERS)}", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
         f"http://127.0.0.1:{PORT}{path}"],
        text=True, stdout=subprocess.PIPE, check=False).stdout)


def allow(*paths):
    with open("/etc/sluice/policies/client.yaml", "w", encoding="utf-8") as f:
        f.write(document("client", app("client"), egress=[http(PORT, *paths)]))


@pytest.fixture(scope="module")
def web():
    """A server, as a service that nobody holds."""
    os.makedirs("/srv/web")
    for name in "ok", "no", "later":
        with open(f"/srv/web/{name}", "w", encoding="ascii") as f:
            f.write(name)
    do("systemd-run", "--quiet", "--unit=web", "/usr/bin/python3", "-m", "http.server",
       "--directory=/srv/web", "--bind=127.0.0.1", str(PORT))
    wait_until(lambda: ask("/no", "other") == 200, "the server")


@pytest.fixture
def agent(web):
    do("make", "-C", ROOT, "--no-print-directory", "install", "PREFIX=/usr")
    os.makedirs("/etc/sluice/policies", exist_ok=True)
    with open("/etc/sluice/agent.yaml", "w", encoding="utf-8") as f:
        f.write(CONFIG)
    allow("/ok")
    do("systemctl", "daemon-reload")
    do("systemctl", "start", UNIT)
    yield int(show("MainPID"))
    do("systemctl", "stop", UNIT)


def held():
    """Is it as the policy says? Whatever happens, nothing else passes."""
    assert ask("/no") in (0, 403)
    return ask("/ok") == 200 and ask("/no") == 403


def test_services_are_held(agent):
    assert held()
    assert ask("/no", "other") == 200
    assert "client" in do("sluice", "status")
    assert os.path.getsize("/var/log/sluice/records")
    assert show("StatusErrno") == "0"


def test_reload(agent):
    assert ask("/later") == 403
    allow("/ok", "/later")
    do("systemctl", "reload", UNIT)
    wait_until(lambda: ask("/later") == 200, "the new policy")
    assert held() and show("MainPID") == str(agent)


def test_killed(agent):
    """systemd starts it again."""
    do("systemctl", "kill", "--signal=KILL", "--kill-who=main", UNIT)
    wait_until(held, "the next one")
    assert show("MainPID") != str(agent)
    assert int(show("NRestarts")) > 0


def test_restart_leaves_no_gap(agent):
    restart = subprocess.Popen(["systemctl", "restart", UNIT])
    while restart.poll() is None:
        assert ask("/no") in (0, 403)
    assert restart.returncode == 0
    assert held() and show("MainPID") != str(agent)


def test_stopped(agent):
    """It goes, and leaves nothing."""
    do("systemctl", "stop", UNIT)
    assert ask("/no") == 200
    assert show("Result") == "success"
    assert not glob.glob("/sys/fs/bpf/sluice*/*"), os.listdir("/sys/fs/bpf")
    do("sluice", "cleanup")
