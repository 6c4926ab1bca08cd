# SPDX-License-Identifier: Apache-2.0
"""One measurement: a scenario's load through one arm, and what it cost everybody."""
import os
import time

import rules
from arms import ROOT
from processes import PATIENCE, BenchError, cpu_ns, rss_kib
from scenarios import IDLE, RELOAD, RELOAD_EVERY_S

CLIENT = os.path.join(ROOT, "build", "bench_client")
PROBE_SECONDS = 0.01
SLOWEST = 60                # seconds that a client may need beyond those that it was given


def client(arm, **options):
    """The arguments of the load generator."""
    argv = [CLIENT, "--to", "%s:%d" % arm.target]
    for name, value in options.items():
        if value is True:
            argv.append(f"--{name}")
        elif value:
            argv += [f"--{name}", str(value)]
    return argv


def _targets(arm, name, paths):
    arm.write(name, "".join(f"{path}\n" for path in paths))
    return arm.path(name)


def _options(arm, scenario):
    made = rules.make(arm.setup.rules)
    if arm.setup.reload:    # only what is allowed before and after
        made = [rule for rule in made if rule in rules.make(arm.setup.rules, changed=True)]
    paths = [scenario.target] if scenario.target else rules.targets(made)
    return {"connections": scenario.connections, "method": scenario.method, "body": scenario.up,
            "close": scenario.close, "websocket": scenario.websocket,
            "expect": scenario.expected_of(arm), "targets": _targets(arm, "targets", paths)}


def check(arm):
    """The arm lets pass what is allowed, and nothing else; otherwise measuring it means nothing."""
    allowed = rules.targets(rules.make(arm.setup.rules))
    sample = [allowed[i * (len(allowed) - 1) // 9] for i in range(10)]
    refused = 403 if arm.filters and arm.setup.l7 else 200
    probes = [("what is allowed", sample, "GET", 200), ("a path that no rule has", [rules.DENIED],
                                                        "GET", refused),
              ("a method that no rule has", sample, "POST", refused),
              ("a path with more behind it", [path + "%2e/x" for path in sample if "files" not in path
                                              ], "GET", refused)]
    deadline = time.monotonic() + PATIENCE
    for what, paths, method, expect in probes:
        argv = client(arm, seconds=PROBE_SECONDS, expect=expect, method=method, body=1,
                      targets=_targets(arm, "probe", paths))
        if method == "GET":
            argv = client(arm, seconds=PROBE_SECONDS, expect=expect,
                          targets=_targets(arm, "probe", paths))
        done = _first_answer(arm, argv, deadline)
        if done["unexpected"] or not done["all_exchanges"]:
            raise BenchError(f"{arm.name} does not answer {expect} to {what}: {done}")


def _first_answer(arm, argv, deadline):
    """A proxy that has just been started may not listen yet."""
    while True:
        try:
            return arm.workload.run(argv, PATIENCE)[0]
        except BenchError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _per(ns, exchanges):
    return ns / 1000 / exchanges if exchanges else None


def _run_reloading(arm, argv, seconds):
    """Replace the rules once a second while the load goes on."""
    arm.workload.start(argv)
    begin, done = time.monotonic(), 0
    while (done + 1) * RELOAD_EVERY_S < seconds:
        time.sleep(max(0, begin + (done + 0.5) * RELOAD_EVERY_S - time.monotonic()))
        arm.reload(rules.make(arm.setup.rules, changed=done % 2 == 0))
        done += 1
    return arm.workload.end(seconds + SLOWEST)


def _check_outcome(arm, scenario, done):
    wrong = [name for name in ("unexpected", "failed") if done[name]]
    if scenario.kind == RELOAD and "unexpected" not in wrong:
        wrong = []      # reported: what a reload does to connections is part of the result
    if wrong or not done["exchanges"]:
        raise BenchError(f"{scenario.name} over {arm.name}: {done}")


def measure(arm, scenario, server, mode):
    """One round. Returns a dictionary of figures."""
    if scenario.kind == IDLE:
        return _measure_idle(arm, scenario)
    reloads = scenario.kind == RELOAD
    seconds = mode.reload_seconds if reloads else mode.seconds
    argv = client(arm, seconds=seconds, **_options(arm, scenario))
    before = cpu_ns(arm.pids()), cpu_ns([server.pid])
    done, client_us = _run_reloading(arm, argv, seconds) if reloads \
        else arm.workload.run(argv, seconds + SLOWEST)
    after = cpu_ns(arm.pids()), cpu_ns([server.pid])
    _check_outcome(arm, scenario, done)
    size = scenario.down or scenario.up
    exchanges = done["all_bytes"] / size if size else done["all_exchanges"]
    rate = (done["bytes"] / size if size else done["exchanges"]) / done["seconds"]
    return {"rate": rate, "p50_us": done["p50_us"], "p99_us": done["p99_us"],
            "max_us": done["max_us"],
            "cpu_us_per_request": _per(after[0] - before[0], exchanges) if arm.pids() else None,
            "server_us_per_request": _per(after[1] - before[1], exchanges),
            "client_us_per_request": _per(client_us * 1000, exchanges),
            "rss_kib": rss_kib(arm.pids()) if arm.pids() else None,
            "failed": done["failed"], "reopened": done["reopened"]}


def _measure_idle(arm, scenario):
    """Memory of connections that have had one exchange and do nothing."""
    hold = arm.path("hold")
    arm.write("hold", "")
    before = rss_kib(arm.pids())
    arm.workload.start(client(arm, hold=hold, **_options(arm, scenario)))
    held = arm.workload.line(SLOWEST)["held"]
    after = rss_kib(arm.pids())
    os.unlink(hold)
    done, _ = arm.workload.end(SLOWEST)
    if held != scenario.connections or done["failed"] or done["reopened"] or done["unexpected"]:
        raise BenchError(f"{scenario.name} over {arm.name}: {held} held, {done}")
    return {"rss_kib": after, "kib_per_connection": (after - before) / held}
