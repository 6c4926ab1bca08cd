# SPDX-License-Identifier: Apache-2.0
"""Out of memory: whoever needed it is refused or reset, counted, and everybody else is served."""
import random
import re

import pytest

import leftovers
from ends import End
from memory import FailingMemory
from policies import http_policy
from procfs import SANITIZED, mounts
from sockdiag import wait_read

# The sanitizers' allocator cannot be replaced; unit tests let allocations fail under them.
pytestmark = pytest.mark.held
POLICY = http_policy("memory", """
- method: GET|POST
  path: /ok/.*
""")
GET = b"GET /ok/1 HTTP/1.1\r\nHost: h\r\n\r\n"
DENIED = b"GET /no/1 HTTP/1.1\r\nHost: h\r\n\r\n"
ESCAPE = b"GET /ok/%2e%2e/a%2fb/..;/no/1 HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /ok/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + bytes(100000)
# Pieces that are sent one after the other, and the answers that are due to them.
TALKS = [
    ([GET + DENIED + GET], [200, 403, 200]),
    ([GET[:9], GET[9:]], [200]),
    ([ESCAPE], [403]),
    ([GET * 8], [200] * 8),
    ([POST], [200]),
    ([b"GET /ok/1 HTTP/1.1\r\n\r\n"], [400]),
    ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 "], []),
]


def statuses(data):
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", data)]


def talk(workload, address, pieces, due):
    """One connection of the kind that may suffer. Returns whether it got all its answers."""
    sock = workload.socket()
    with End(sock, "client") as client:
        got = b""
        try:
            sock.connect(address)
            for piece in pieces[:-1]:
                client.send(piece)
                wait_read([sock])
            client.send(pieces[-1])
            while len(statuses(got)) < len(due) and client._fill():
                got += client._take(len(client.buffer))
        except OSError:
            got += client._take(len(client.buffer))
    answers = statuses(got)
    assert answers == due[:len(answers)], (pieces[0][:40], answers, due)
    return answers == due


def suffer(memory, workload, origin, nth, again=False):
    """All talks while allocation number NTH fails. Returns how many failed."""
    memory.arm(nth, again)
    done = [talk(workload, origin.address, *kind) for kind in TALKS]
    failed = memory.disarm()
    assert failed or all(done), done
    return failed


def check_served(client):
    client.send(GET)
    assert client.read_response().status == 200


def check_verdicts(origin):
    bad = [line for line in origin.requests() if not re.fullmatch(r"(GET|POST) /ok/1", line)]
    assert bad == []


def run_with(sluice, memory, origin):
    return sluice.workload(POLICY.format(port=origin.port), log=True,
                           environment=memory.environment)


def check_end(memory, workload, origin):
    """Everybody is served again, and nothing has been lost for good."""
    assert suffer(memory, workload, origin, 0) == 0
    check_verdicts(origin)
    result = workload.finish()
    assert result.stats["conn.opened"] > 0
    assert all(line.startswith("sluice: ") and "records could not be written" in line
               for line in result.other_lines), result.other_lines
    return result


# A command that shows that it ran, and what it should not be able to do.
PROBE = """echo ran
(echo > /dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo connected
for tree in {trees}; do mkdir $tree/sluice-memory 2>/dev/null && rmdir $tree/sluice-memory \
    && echo cgroups; done; true"""
# Of libfyaml and libhs, which cannot do without memory at these places. Nothing has been made then.
CRASHES = "fy_parse_input_append", "hs_compile_multi"


def start(sluice, memory, server, nth):
    """A run while allocation number NTH fails. Returns whether one did."""
    trees = " ".join(where for where, kind in mounts() if kind == "cgroup2")
    memory.arm(nth)
    result = sluice.run("bash", "-c", PROBE.format(port=server.port, trees=trees), log=True,
                        policy=POLICY.format(port=1),
                        environment={**memory.environment, "FAILING_MALLOC_TRACE": "1"})
    failed = memory.disarm()
    left = [thing for thing in leftovers.look() if f"/{result.pid}-" in thing
            or f"/sluice-{result.pid}-" in thing]
    assert not left, (nth, left)
    said = [line for line in result.err.splitlines() if not re.search(r"\[0x[0-9a-f]+\]$", line)]
    if result.code == 0:
        assert result.out == b"ran\n", (nth, result.out, result.err)
        return failed
    assert failed and result.out == b"", (nth, result.code, result.out, result.err)
    if result.code < 0:
        assert any(name in result.err for name in CRASHES), (nth, result.err)
    else:
        assert result.code in (2, 125), (nth, result.code, result.err)
        assert re.search(r"memory|allocate|unavailable|kernel refused", " ".join(said)), (nth, result.err)
    return failed


if not SANITIZED:
    @pytest.mark.parametrize("again", [False, True])
    def test_every_allocation_of_the_data_path(again, sluice, folder, origin):
        """One after the other fails, in a sluice that goes on all the time."""
        memory = FailingMemory(folder)
        workload = run_with(sluice, memory, origin)
        with workload.connect(origin.address) as other:
            check_served(other)
            nth, failed = 1, 1
            while failed:
                failed = suffer(memory, workload, origin, nth, again)
                check_served(other)
                nth += 1
        assert nth > 5
        print(f"{nth - 2} allocations failed, one by one; again and again: {again}")
        result = check_end(memory, workload, origin)
        assert result.closed("oom") > 0

    @pytest.mark.long
    def test_every_allocation_of_a_new_worker(sluice, folder, origin):
        """The same, with caches that are empty: a new sluice for each."""
        memory, nth, failed = FailingMemory(folder), 0, 1
        while failed:
            nth += 1
            workload = run_with(sluice, memory, origin)
            failed = suffer(memory, workload, origin, nth)
            check_end(memory, workload, origin)
        print(f"{nth - 1} allocations failed, one by one")
        assert nth > 10

    @pytest.mark.parametrize("step", [80, pytest.param(1, marks=pytest.mark.long)])
    def test_no_memory_to_start(step, sluice, folder, server):
        """The command is not started, or it is held; and nothing is left behind."""
        memory = FailingMemory(folder)
        nth = 1 if step == 1 else random.randrange(1, step)
        print(f"from {nth} in steps of {step}")
        while start(sluice, memory, server, nth):
            nth += step
        assert nth > 500
