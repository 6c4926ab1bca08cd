# SPDX-License-Identifier: Apache-2.0
"""Whatever is forwarded, others read as sluice has judged it.

Good and bad streams of requests are sent through sluice to nginx and to h11. Of each connection the
requests that each of them saw are compared with those in sluice's record: in order, by method and
path, and by how many bytes they have with their bodies.

A server may stop early, since it was asked to close, or because it refuses what sluice has allowed.
It never may see anything else."""
import collections
import contextlib
import random
import re
import socket

import pytest

from ends import End
from h1_corpus import streams
from procfs import SANITIZED
from sockdiag import Watch
from witness import H11Witness, NginxWitness

pytestmark = pytest.mark.held

# At the first port of each server everything is allowed, at the second some.
POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: some
spec:
  endpointSelector: {{}}
  egress:
  - toPorts:
    - ports: [{{port: "{ports[0]}", protocol: TCP}}, {{port: "{ports[2]}", protocol: TCP}}]
      rules:
        http: [{{}}]
  - toPorts:
    - ports: [{{port: "{ports[1]}", protocol: TCP}}, {{port: "{ports[3]}", protocol: TCP}}]
      rules:
        http:
        - path: /(case|tail)/.*
        - path: "[^2bd]*"
"""
AT_ONCE = 100
HEAD = b"GET /case/%d HTTP/1.1\r\nHost: a\r\n\r\n"
TAIL = b"GET /tail/%d HTTP/1.1\r\nHost: a\r\n\r\n"


def pieces_of(stream, seed):
    """Every fourth stream arrives in up to four pieces."""
    if seed % 4:
        return [stream]
    chance = random.Random(seed)
    places = sorted(chance.sample(range(1, len(stream)), 3))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)])]


def say(ends, pieces):
    for turn in range(4):
        paused = []
        for end, mine in zip(ends, pieces):
            with contextlib.suppress(OSError):
                if turn < len(mine):
                    end.send(mine[turn])
                if turn + 1 < len(mine):
                    paused.append(end)
                elif turn + 1 == len(mine):
                    end.shut()
        if paused:
            Watch(paused).wait_read()


def send_all(workload, address, cases):
    """Each on a connection of its own. Returns what was heard in answer."""
    heard = []
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    for start in range(0, len(cases), AT_ONCE):
        batch = list(enumerate(cases))[start:start + AT_ONCE]
        with contextlib.ExitStack() as stack:
            ends = [stack.enter_context(End(sock, "client"))
                    for sock in workload.sockets(len(batch), family)]
            for end in ends:
                end.sock.connect(address)
            say(ends, [pieces_of(HEAD % number + stream + TAIL % number, number)
                       for number, stream in batch])
            heard += [end.read_rest() for end in ends]
    return heard


class Judged:
    """What sluice says of one connection: its requests, and whether it refused to read on."""

    def __init__(self):
        self.requests = []  # (method, path, forwarded)
        self.refused = False

    def forwarded(self):
        return [(method, path) for method, path, forwarded in self.requests if forwarded]


def judged(log):
    """{destination port: {case: Judged}} as sluice has recorded it."""
    found, last = collections.defaultdict(dict), {}
    for record in log:
        l7 = record.get("l7", {})
        if l7.get("type") != "REQUEST":
            continue
        source = record["source"]["ip"], record["source"]["port"]
        if "url" not in l7:
            last[source].refused = True
            continue
        assert "url_truncated" not in l7
        path = "" if l7["method"] == "CONNECT" else \
            re.fullmatch("http://[^/*]*(.*)", l7["url"])[1]
        if path.startswith("/case/"):
            mine = found[record["destination"]["port"]]
            assert int(path[6:]) not in mine
            last[source] = mine[int(path[6:])] = Judged()
        last[source].requests.append((l7["method"], path, record["verdict"] == "FORWARDED"))
    return found


def compare(mine, seen):
    """The requests that a server saw are those that sluice forwarded. Returns how many."""
    got, want = [(s.method, s.path) for s in seen], mine.forwarded()
    assert got == want[:len(got)], f"sluice forwarded {want}, the server saw {seen}"
    assert all(s.length for s in seen[:-1]), seen
    assert not any(s.closes for s in seen[:-1]), seen
    return len(got)


def compare_h11(mine, connection):
    """h11 reads bytes as they come, so it misses nothing but what follows a request to close."""
    seen = connection.requests
    count = compare(mine, seen)
    if count < len(mine.forwarded()):
        assert seen[-1].closes, f"sluice forwarded {mine.forwarded()}, h11 saw {seen}"
    elif not seen[-1].closes and seen[-1].length:
        assert connection.arrived == sum(s.length for s in seen), seen
    # The end came in the middle of a body; anything else that it does not take is a finding.
    assert not connection.error or connection.error.startswith(
        "peer closed connection without sending complete message body"), connection.error
    return count


def compare_nginx(mine, seen, heard):
    """nginx reads a request only when it has answered the one before. It misses what follows one
    that it refuses or that asks it to close, and what sluice takes back by a reset."""
    count = compare(mine, seen)
    if count < len(mine.forwarded()):
        says_close = b"\r\nConnection: close\r\n" in heard  # with a capital: not sluice
        assert mine.refused or seen[-1].closes or says_close, \
            f"sluice forwarded {mine.forwarded()}, nginx saw {seen}"
    return count


def check_lengths(one, other):
    """Both servers find the same ends of the requests that both saw whole."""
    pairs = [(a, b) for a, b in zip(one, other) if a.length and b.length]
    for a, b in pairs:
        assert a.length == b.length, f"h11 read {a}, nginx {b}"
    return len(pairs)


def check_verdicts(free, held):
    """Where requests begin and end does not depend on what is denied."""
    free, held = ([request[:2] for request in mine.requests] for mine in (free, held))
    shared = min(len(free), len(held))
    assert free[:shared] == held[:shared]


def differ(sluice, folder, cases):
    """Returns how many requests were compared: by h11, by nginx, and by both in length."""
    counts = [0, 0, 0]
    with H11Witness() as h11, NginxWitness(folder) as nginx:
        addresses = [*h11.addresses, *nginx.addresses]
        ports = [address[1] for address in addresses]
        workload = sluice.workload(POLICY.format(ports=ports), log=True)
        heard = [send_all(workload, address, cases) for address in addresses]
        found = judged(workload.finish().log)
        nginx.finish()
    mine = [found[port] for port in ports]
    for number in range(2):
        by_h11, by_nginx = h11.seen(number), nginx.seen(number)
        assert by_h11.keys() == mine[number].keys() == set(range(len(cases)))
        assert by_nginx.keys() == mine[number + 2].keys() == set(range(len(cases)))
        for case, stream in enumerate(cases):
            try:
                counts[0] += compare_h11(mine[number][case], by_h11[case])
                counts[1] += compare_nginx(mine[number + 2][case], by_nginx[case],
                                           heard[number + 2][case])
                counts[2] += check_lengths(by_h11[case].requests, by_nginx[case])
                check_verdicts(mine[0][case], mine[1][case])
                check_verdicts(mine[2][case], mine[3][case])
            except AssertionError as error:
                raise AssertionError(f"case {case}, {stream!r}: {error}") from error
    return counts


def test_servers_see_what_was_judged(sluice, folder):
    cases = streams(seed=1, count=40)[::6 if SANITIZED else 2]
    counts = differ(sluice, folder, cases)
    assert min(counts) > 3 * len(cases), counts


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_servers_see_what_was_judged_in_many_cases(seed, sluice, folder):
    cases = streams(seed, count=400)
    assert min(differ(sluice, folder, cases)) > 3 * len(cases)
