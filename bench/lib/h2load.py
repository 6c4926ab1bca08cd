# SPDX-License-Identifier: Apache-2.0
"""h2load, nghttp2's load generator, in the place of our own: what it is told, and what it says."""
import os
import re

from processes import BenchError

LOG = "h2load.log"


def _argv(arm, scenario, seconds, options):
    """URIS has the targets; of the first also the scheme, the host and the port are used."""
    with open(options["targets"], encoding="ascii") as file:
        uris = ["http://%s:%d%s" % (*arm.target, target) for target in file.read().split()]
    arm.write("uris", "\n".join(uris) + "\n")
    if os.path.exists(arm.path(LOG)):
        os.unlink(arm.path(LOG))
    return ["h2load", "--clients", str(scenario.connections),
            "--max-concurrent-streams", str(scenario.streams),
            "--duration", f"{round(seconds * 1000)}ms", "--warm-up-time", "0",
            "--input-file", arm.path("uris"), "--log-file", arm.path(LOG)]


def _numbers(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise BenchError(f"h2load does not say what it did:\n{text[-2000:]}")
    return [float(number) for number in found.groups()]


def _read(arm, scenario, seconds, lines):
    text = "\n".join(lines)
    done, failed = map(int, _numbers(r"(\d+) done, \d+ succeeded, \d+ failed, (\d+) errored", text))
    statuses = [int(n) for n in _numbers(r"(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)]
    expected = statuses[scenario.expected_of(arm) // 100 - 2]
    size, = map(int, _numbers(r"traffic: \S+ \((\d+)\) total", text))
    with open(arm.path(LOG), encoding="ascii") as file:
        times = sorted(int(line.split("\t")[2]) for line in file)
    at = {parts: times[min(len(times) - 1, len(times) * parts // 1000)] if times else None
          for parts in (500, 990, 1000)}
    return {"exchanges": done, "all_exchanges": done, "seconds": seconds, "bytes": size,
            "all_bytes": size, "p50_us": at[500], "p99_us": at[990], "max_us": at[1000],
            "unexpected": sum(statuses) - expected, "failed": failed, "reopened": 0}


def run(arm, scenario, seconds, options, patience):
    """Like the workload's run(), for the requests of SCENARIO."""
    return arm.workload.run(_argv(arm, scenario, seconds, options), seconds + patience,
                            lambda lines: _read(arm, scenario, seconds, lines))
