# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all scenes. Run as root: /usr/bin/python3 -m pytest tests/e2e [-m "not long"]

SLUICE            the binary (default build/sluice; relative to the root of the tree)
SLUICE_SANITIZED  set: that binary has sanitizers; sizes are smaller, its memory is not judged
--direct          run the commands without sluice: proves that a scene's expectations are those of
                  ordinary traffic
"""
import contextlib
import os
import resource
import signal
import sys
import tempfile

import pytest

import folders
import leftovers
from netns import Home, Wire
from node import Node
from places import PLACES
from pods import Pods
from servers import Nginx, Origin, RawServer, UdpServer
from sluice import BINARY, Sluice, cleanup

sys.dont_write_bytecode = True
# Tools that a machine may lack; anything else that is skipped in CI is a failure.
OPTIONAL_TOOLS = "node", "@grpc/grpc-js", "go", "nghttpd", "WebSocket client of node"


def pytest_addoption(parser):
    parser.addoption("--direct", action="store_true", help="run the commands without sluice")


def _on_terminate(*_):
    pytest.exit("terminated", returncode=143)  # after the finalizers


def pytest_configure(config):
    signal.signal(signal.SIGTERM, _on_terminate)
    # Whoever started this in the background may have them ignored, and so would the commands.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if os.geteuid() != 0:
        pytest.exit("these scenes need root: they attach BPF programs", returncode=1)
    if not config.getoption("direct") and not os.access(BINARY, os.X_OK):
        pytest.exit(f"no sluice at {BINARY}: build it, or set SLUICE", returncode=1)


def pytest_collection_modifyitems(config, items):
    if config.getoption("direct"):
        for item in items:
            if item.get_closest_marker("held"):
                item.add_marker(pytest.mark.skip(reason="needs sluice"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a skipped scene is a failure, unless an optional tool is absent."""
    outcome = yield
    report = outcome.get_result()
    if not report.skipped or os.environ.get("CI") != "true" or item.config.getoption("direct"):
        return
    reason = str(report.longrepr[2])
    if not any(reason.endswith(f"no {tool} here") for tool in OPTIONAL_TOOLS):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where it must not be: {reason}"


@pytest.fixture(autouse=True)
def nothing_left():
    """First to be set up, so last to be torn down: whatever a scene made is gone."""
    before = leftovers.look()
    yield before
    try:
        leftovers.check(before)
    except AssertionError:
        cleanup()  # so that one failure does not become many
        raise


@pytest.fixture
def folder():
    """A folder that other users can enter, with a short name: Unix sockets live in it."""
    path = tempfile.mkdtemp(prefix="sluice-e2e-")
    os.chmod(path, 0o755)
    yield path
    folders.remove(path)


@pytest.fixture
def sluice(request, folder):
    with Sluice(folder, request.config.getoption("direct")) as runner:
        yield runner


@pytest.fixture
def node(folder):
    with Node(folder) as cgroups:
        yield cgroups


@pytest.fixture(scope="module")
def lan():
    """The network of a node: its own namespace, which is this one, and those of its pods."""
    with Wire() as wire:
        yield wire


@pytest.fixture(params=PLACES)
def place(lan, request):
    """Where the workloads of a scene live (places.py)."""
    return Home(lan) if request.param == "home" else lan


@pytest.fixture(scope="session")
def pods():
    """A container runtime for all scenes. Its folder has a short name: Unix sockets live in it."""
    path = tempfile.mkdtemp(prefix="sluice-pods-")
    with Pods(path) as running:
        yield running
    folders.remove(path)


@pytest.fixture
def begin_pods(sluice, pods):
    """Starts an agent for pods; what comes from then on is not older than it."""
    def start(text, config=(), **how):
        agent = sluice.agent([], {"p.yaml": text}, pods=pods.config(**dict(config)), **how)
        agent.wait_until(lambda status: status["pods"]["answers"], "the runtime")
        return agent
    return start


@pytest.fixture
def run_pod(pods):
    """Makes pods that go with the scene."""
    with contextlib.ExitStack() as stack:
        def start(*arguments, **how):
            pod = pods.run(*arguments, **how)
            stack.callback(pod.remove)
            return pod
        yield start


@pytest.fixture
def server():
    with RawServer() as raw:
        yield raw


@pytest.fixture
def udp_server():
    with UdpServer() as udp:
        yield udp


@pytest.fixture
def nginx(folder):
    with Nginx(folder) as running:
        yield running


@pytest.fixture
def origin():
    with Origin() as running:
        yield running
