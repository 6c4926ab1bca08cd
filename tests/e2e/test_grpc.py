# SPDX-License-Identifier: Apache-2.0
"""gRPC between implementations that nobody here wrote. Each does everything that EXPECTED lists, on
one channel, twice: through sluice, and with a server that denies by itself what the policy denies.
Nobody can tell the difference: neither the client, nor who listens to the server's side."""
import collections
import contextlib
import json
import os
import subprocess

import pytest

import tap
from doors import PEERS, Doors, Missing
from procfs import SANITIZED, wait_until

pytestmark = pytest.mark.held

POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: doors}}
spec:
  endpointSelector: {{}}
  egress:
  - toPorts:
    - ports: [{{port: "{port}", protocol: TCP}}]
      rules:
        grpc: [{{service: 'doors[.]Manager', method: {methods}}}]
    - ports: [{{port: "{port}", protocol: TCP}}]
      rules:
        http: [{{method: POST, path: '/doors[.]Manager/Pack', headers: ["grpc-encoding: gzip"]}}]
"""
METHODS = "Get|Watch|Count|Talk|Slow|Hold|Gone|Left|Fail|Paint"
ODD = ",".join(["00ff", "61", "6162", bytes(range(256)).hex()])

# What a client says of each thing that it can be asked to do N times, for N milliseconds, with N
# bytes. Numbers are gRPC's codes: 1 CANCELLED, 4 DEADLINE_EXCEEDED, 5 NOT_FOUND,
# 7 PERMISSION_DENIED, 12 UNIMPLEMENTED.
EXPECTED = {
    "unary": lambda n: f"front front, second {ODD} yes 000102",
    "watch": lambda n: f"{n}",
    "count": lambda n: f"{n * 70000}",
    "talk": lambda n: f"{n} 0",
    "denied": lambda n: "7: Access denied",
    "denied_stream": lambda n: "7: Access denied",
    "fail": lambda n: "5: no such door: \u00e9, 100% 00ff",
    "unknown": lambda n: "12",
    "deadline": lambda n: "yes 4",
    "cancel": lambda n: f"{n} {n} 1",
    "large": lambda n: "same",
    "many": lambda n: f"{2 * n} {n}",           # streams that are open at once
    "mixed": lambda n: f"{n // 2} {n // 2} 20",  # allowed, denied, and what five streams said
    "gzip": lambda n: "same",
    "idle": lambda n: "2 0",
    "steady": lambda n: "0",                    # calls that did not end as they should
    "revoked": lambda n: "7 7 1 2 0",
}
ALL = {"unary": 0, "watch": 1000, "count": 5, "talk": 50, "denied": 0, "denied_stream": 0,
       "fail": 0, "unknown": 0, "deadline": 300, "cancel": 20, "large": 64 << 20, "many": 1000,
       "mixed": 2000, "gzip": 8 << 20, "idle": 0}
FAST = {**ALL, "watch": 100, "cancel": 3, "large": 2 << 20, "many": 50 if SANITIZED else 200,
        "mixed": 100, "gzip": 4 << 20}
PAIRS = [(client, server) for client in PEERS for server in PEERS]
IDS = ["-".join(pair) for pair in PAIRS]


def peer(name):
    try:
        return PEERS[name]()
    except Missing as what:
        pytest.skip(f"no {what} here")


def words(port, asked):
    return ["call", str(port), *(f"{name}={number}" for name, number in asked.items())]


def policy(port, methods=METHODS):
    return POLICY.format(port=port, methods=methods)


def say(asked):
    return {name: EXPECTED[name](number) for name, number in asked.items()}


def without_sluice(client, server, asked, timeout):
    with Doors(server, "deny") as doors, tap.Tap(doors.port) as wire:
        done = subprocess.run([*client, *words(wire.port, asked)], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=timeout, check=True)
    return json.loads(done.stdout), wire


def through_sluice(sluice, client, server, asked, timeout):
    with Doors(server) as doors, tap.Tap(doors.port) as wire:
        result = sluice.run(*client, *words(wire.port, asked), policy=policy(wire.port), log=True,
                            timeout=timeout)
    assert result.code == 0, result.err
    return json.loads(result.out), wire, result


def ends(log, method):
    """How the streams of METHOD ended, by their records."""
    return [l7.get("grpc_status", l7.get("reset"))
            for l7 in (record["l7"] for record in log if "l7" in record)
            if l7["type"] == "END" and l7["url"].endswith("/" + method)]


def check_records(result, asked):
    assert all(record["l7"]["protocol"] == "gRPC" for record in result.log)
    assert ends(result.log, "Watch") == [0] and ends(result.log, "Fail") == [5]
    assert ends(result.log, "Paint") == [12] and ends(result.log, "Open") == []
    assert ends(result.log, "Hold") == ["CANCEL"] * asked["cancel"]
    # The server may notice the deadline before the client does.
    assert set(ends(result.log, "Slow")) <= {"CANCEL", 4}
    kinds = collections.Counter(record["l7"]["type"] for record in result.log)
    allowed = result.stats["requests.allowed"]
    assert kinds["REQUEST"] == allowed + result.stats["requests.denied"]
    assert kinds["END"] == allowed and allowed - 2 <= kinds["RESPONSE"] <= allowed


def check_pair(sluice, pair, asked, timeout=60):
    client, server = peer(pair[0]), pair[1]
    peer(server)
    held, wire, result = through_sluice(sluice, client, server, asked, timeout)
    alone, other = without_sluice(client, server, asked, timeout)
    assert held == alone == say(asked)
    # With grpc-js, compression takes another channel.
    assert result.stats["conn.opened"] == len(other.up) == 1 + (pair[0] == "node")
    denied = result.denied("/doors.Manager/Open")
    assert denied == asked["mixed"] // 2 + 2
    assert tap.requests(wire.up) == result.stats["requests.allowed"]
    # The call that is cancelled soon may never leave the client.
    assert abs(tap.requests(other.up) - denied - tap.requests(wire.up)) <= 1
    assert tap.data(wire.down) == tap.data(other.down)
    small = asked["large"] + asked["gzip"]
    assert tap.data(wire.up) < small
    assert tap.data(wire.down) < small or pair[1] == "node"         # it compresses no replies
    check_records(result, asked)


def test_fast(sluice):
    check_pair(sluice, ("c++", "python"), FAST)


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS, ids=IDS)
def test_pair(pair, sluice):
    check_pair(sluice, pair, ALL, timeout=300)


@pytest.mark.long
def test_keepalive(sluice):
    """A minute in which nothing is said but pings, on all pairs at once."""
    asked = {"unary": 0, "idle": 60}
    runs = {}
    with contextlib.ExitStack() as stack:
        doors = {name: stack.enter_context(Doors(name)) for name in PEERS if present(name)}
        assert len(doors) >= 3
        for client in doors:
            for server in doors:
                wire = stack.enter_context(tap.Tap(doors[server].port))
                runs[client, server] = wire, sluice.start(
                    *PEERS[client](), *words(wire.port, asked), policy=policy(wire.port))
        for pair, (_, run) in runs.items():
            result = run.wait(180)
            assert (pair, json.loads(result.out or "0")) == (pair, say(asked))
    for pair, (wire, run) in runs.items():
        asking, answering = tap.pings(wire.up)
        asking_down, answering_down = tap.pings(wire.down)
        # One every ten seconds, from whichever side is first; all are answered by the other.
        assert asking + asking_down >= 4, pair
        assert asking - 1 <= answering_down <= asking, pair
        assert asking_down - 1 <= answering <= asking_down, pair


def present(name):
    try:
        return bool(PEERS[name]())
    except Missing:
        return False


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS, ids=IDS)
def test_connections_age(pair, sluice):
    """The server asks to leave each connection (GOAWAY): no call of either kind is lost by it."""
    asked = {"steady": 4000}
    client = peer(pair[0])
    peer(pair[1])
    with Doors(pair[1], "age") as doors, tap.Tap(doors.port) as wire:
        result = sluice.run(*client, *words(wire.port, asked), policy=policy(wire.port))
    assert json.loads(result.out) == say(asked), result.err
    assert len(wire.up) >= 3


@pytest.mark.parametrize("name", [name if name == "python" else
                                  pytest.param(name, marks=pytest.mark.long) for name in PEERS])
def test_revoked(name, sluice, folder):
    """The policy changes: a live stream that it does not allow any more ends as one that the server
    refuses, and the other on the channel goes on."""
    path = os.path.join(folder, "live.yaml")
    asked = {"revoked": 0}
    with Doors("python") as doors:
        with open(path, "w") as file:
            file.write(policy(doors.port))
        run = sluice.start(*peer(name), *words(doors.port, asked), log=True,
                           options=["--follow", "-p", path])
        wait_until(lambda: b"holding" in run.read("err"), "both streams live")
        with open(path, "w") as file:
            file.write(policy(doors.port, METHODS.replace("|Hold", "")))
        result = run.wait()
    assert json.loads(result.out) == say(asked), result.err
    assert result.stats["conn.opened"] == 1
    assert ends(result.log, "Hold") == ["INADEQUATE_SECURITY"] and ends(result.log, "Talk") == [0]
