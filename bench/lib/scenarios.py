# SPDX-License-Identifier: Apache-2.0
"""What is measured: the table of scenarios, and which of them each mode takes."""
import resource
import shutil
from dataclasses import dataclass, replace

import rules
from arms import Setup

KIB, MIB = 1 << 10, 1 << 20
RELOAD_EVERY_S = 1
FRAME_BYTES = 100       # payload of a WebSocket message
MESSAGE_BYTES = 100     # of gRPC
MESSAGES = 1000         # each way, of a call that is a stream

IDLE_CONNECTIONS = 1000, 5000, 10000
# A proxy needs two for each connection, and some for itself.
SPARE_DESCRIPTORS = 200
DESCRIPTORS = 2 * max(IDLE_CONNECTIONS) + SPARE_DESCRIPTORS

LOAD, IDLE, RELOAD = "load", "idle", "reload"


@dataclass(frozen=True)
class Scenario:
    name: str
    chart: str                      # the group of charts in which it is shown
    setup: Setup = Setup()
    kind: str = LOAD
    connections: int = 16
    target: str = None              # None: a path for each rule, in turn
    method: str = "GET"
    down: int = 0                   # bytes of the answer's body, if that is the point
    up: int = 0                     # bytes of the request's body
    close: bool = False
    websocket: int = 0
    streams: int = 0                # of HTTP/2, on each connection
    messages: int = 0               # of a gRPC call, each way
    message: int = 0                # bytes of each
    expect: int = 200

    def cannot(self):
        """Why this cannot be measured here, or None."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if 2 * self.connections + SPARE_DESCRIPTORS > limit:
            return f"a process may have {limit} descriptors here"
        if self.setup.protocol == rules.H2 and not shutil.which("h2load"):
            return "no h2load here"
        return None

    def together(self):
        """Neighbours in the table with the same key are measured together: those that share a
        setup one after the other, others in turn, round by round."""
        return self.chart if self.chart == "rules" else self.setup

    def expected_of(self, arm):
        """The status that ARM has to answer with."""
        return self.expect if arm.filters else 200


def _bodies():
    for label, size, connections in ("64k", 64 * KIB, 16), ("1m", MIB, 8), ("100m", 100 * MIB, 2):
        yield Scenario(f"h1-body-{label}-down", "bodies", target=f"{rules.BYTES}{size}",
                       connections=connections, down=size)
        yield Scenario(f"h1-body-{label}-up", "bodies", target=rules.UPLOAD, method="POST",
                       connections=connections, up=size)


SCENARIOS = [
    *(Scenario(f"h1-keepalive-{n}", "keepalive", connections=n) for n in (1, 16, 64, 256)),
    Scenario("h1-new-connection", "requests", close=True),
    Scenario("h1-new-connection-unpooled", "requests", Setup(pool=False), close=True),
    Scenario("h1-denied", "requests", target=rules.DENIED, expect=403),
    Scenario("h2-streams", "http2", Setup(rules.H2), connections=10, streams=100),
    Scenario("grpc-unary", "http2", Setup(rules.GRPC), connections=4, streams=32, messages=1,
             message=MESSAGE_BYTES),
    Scenario("grpc-stream", "http2", Setup(rules.GRPC), connections=4, streams=8,
             messages=MESSAGES, message=MESSAGE_BYTES),
    Scenario("websocket-echo", "requests", target=rules.ECHO, websocket=FRAME_BYTES),
    *_bodies(),
    *(Scenario(f"h1-rules-{n}", "rules", Setup(rules=n)) for n in (10, 1000, 10000)),
    *(Scenario(f"idle-{n}", "idle", kind=IDLE, connections=n) for n in IDLE_CONNECTIONS),
    Scenario("connect-untouched", "untouched", Setup(l7=False), close=True),
    Scenario("connect-untouched-bulk", "untouched", Setup(l7=False), connections=2,
             target=f"{rules.BYTES}{100 * MIB}", down=100 * MIB),
    Scenario("reload", "reload", Setup(rules=1000, reload=True), kind=RELOAD),
]
LOGGED = ("h1-keepalive-16", "h1-new-connection", "h1-denied")
# What lies between client and server makes no difference to these.
LOOPBACK_ONLY = ("h1-rules-", "idle-", "reload", "h1-denied", "grpc-stream")


@dataclass(frozen=True)
class Mode:
    """How much of it, and for how long."""
    rounds: int
    seconds: float              # of load, in each round
    reload_seconds: float
    places: tuple
    scenarios: tuple = None     # names; None: all
    logged: bool = False        # some scenarios again, with logs
    arms: tuple = None


MODES = {
    "quick": Mode(rounds=5, seconds=0.5, reload_seconds=0, places=("loopback",), scenarios=(
        "h1-keepalive-16", "h1-keepalive-64", "h1-new-connection", "h1-rules-1000",
        "h1-body-64k-down", "h1-body-1m-up", "h1-denied", "websocket-echo", "connect-untouched",
        "h2-streams", "grpc-unary")),
    "full": Mode(rounds=5, seconds=1.5, reload_seconds=4, places=("loopback", "veth"), logged=True),
    "smoke": Mode(rounds=1, seconds=0.2, reload_seconds=0, places=("loopback",), scenarios=(
        "h1-keepalive-16", "h1-body-1m-up", "h1-denied", "websocket-echo",
        "h2-streams", "grpc-unary", "grpc-stream"),
        arms=("direct", "sluice")),
}


def chosen(mode, place):
    """The scenarios of MODE at PLACE, those that are measured together behind each other."""
    named = [s for s in SCENARIOS if mode.scenarios is None or s.name in mode.scenarios]
    if place != "loopback":
        return [s for s in named if not s.name.startswith(LOOPBACK_ONLY)]
    if mode.logged:
        named += [replace(s, setup=replace(s.setup, log=True)) for s in named if s.name in LOGGED]
    keys = list(dict.fromkeys(n.together() for n in named))
    return sorted(named, key=lambda s: keys.index(s.together()))
