# SPDX-License-Identifier: Apache-2.0
"""The unit that is installed, under the systemd that runs a machine (./checks): units are
workloads, and whatever systemctl does to the agent leaves them held."""
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
- {name: client, labels: {app: client}, cgroup: "/system.slice/client-*.scope"}
"""
NUMBERS = itertools.count()
# Asks for each path that it is told, and says what status that got; 000: no answer.
ASK = f"""while read path; do
    curl -s -m 60 -o /dev/null -w '%{{http_code}}\\n' http://127.0.0.1:{PORT}$path
done"""


def do(*command):
    done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, (command, done.stdout, journal())
    return done.stdout


def journal():
    return subprocess.run(["journalctl", "--no-pager", "-n", "40", "-u", UNIT], text=True,
                          stdout=subprocess.PIPE, check=False).stdout


def show(name):
    return do("systemctl", "show", "--value", "-p", name, UNIT).strip()


class Client:
    """Somebody in a scope of its own, NAME-N.scope."""

    def __init__(self, name):
        self.unit = f"{name}-{next(NUMBERS)}.scope"
        self.process = subprocess.Popen(
            ["systemd-run", "--quiet", "--scope", "--collect", f"--unit={self.unit}",
             "sh", "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.ask("/there-is-none") in (0, 403, 404)

    def ask(self, path):
        self.process.stdin.write(path + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def held(self):
        """Is it as the policy says? Whatever happens, nothing else passes."""
        assert self.ask("/no") in (0, 403)
        return self.ask("/ok") == 200 and self.ask("/no") == 403

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def allow(*paths):
    with open("/etc/sluice/policies/client.yaml", "w", encoding="utf-8") as f:
        f.write(document("client", app("client"), egress=[http(PORT, *paths)]))


@pytest.fixture(scope="module")
def other():
    """Who asks a server, a service, and is held to nothing."""
    os.makedirs("/srv/web")
    for name in "ok", "no", "later":
        with open(f"/srv/web/{name}", "w", encoding="ascii") as f:
            f.write(name)
    do("systemd-run", "--quiet", "--unit=web", "/usr/bin/python3", "-m", "http.server",
       "--directory=/srv/web", "--bind=127.0.0.1", str(PORT))
    client = Client("other")
    wait_until(lambda: client.ask("/no") == 200, "the server")
    yield client
    client.end()


@pytest.fixture
def agent(other):
    do("make", "-C", ROOT, "--no-print-directory", "install", "PREFIX=/usr")
    os.makedirs("/etc/sluice/policies", exist_ok=True)
    with open("/etc/sluice/agent.yaml", "w", encoding="utf-8") as f:
        f.write(CONFIG)
    allow("/ok")
    do("systemctl", "daemon-reload")
    do("systemctl", "start", UNIT)
    yield int(show("MainPID"))
    do("systemctl", "stop", UNIT)


@pytest.fixture
def client(agent):
    scope = Client("client")
    wait_until(lambda: scope.unit in do("sluice", "status"), "the client is known")
    wait_until(scope.held, "the client is held")
    yield scope
    scope.end()


def test_units_are_held(client, other):
    assert client.held()
    assert other.ask("/no") == 200
    assert os.path.getsize("/var/log/sluice/records")


def test_reload(agent, client):
    assert client.ask("/later") == 403
    allow("/ok", "/later")
    do("systemctl", "reload", UNIT)
    wait_until(lambda: client.ask("/later") == 200, "the new policy")
    assert client.held() and show("MainPID") == str(agent)


def test_killed(agent, client, other):
    """systemd starts it again."""
    do("systemctl", "kill", "--signal=KILL", "--kill-who=main", UNIT)
    assert other.ask("/no") == 200
    wait_until(client.held, "the next one")
    assert show("MainPID") != str(agent)
    assert int(show("NRestarts")) > 0


def test_restart_leaves_no_gap(agent, client):
    with subprocess.Popen(["systemctl", "restart", UNIT]) as restart:
        while restart.poll() is None:
            assert client.ask("/no") in (0, 403)
    assert restart.returncode == 0
    wait_until(client.held, "the next one")
    assert show("MainPID") != str(agent)


def test_stopped(client):
    """It goes, and leaves nothing."""
    do("systemctl", "stop", UNIT)
    assert client.ask("/no") == 200
    assert show("Result") == "success"
    assert not glob.glob("/sys/fs/bpf/sluice*/*")
    assert do("sluice", "cleanup") == ""
