# SPDX-License-Identifier: Apache-2.0
"""One measurement: a scenario's load through one arm, and what it cost everybody."""
import functools
import os
import time

import h2load
import rules
from arms import ROOT
from processes import PATIENCE, BenchError, cpu_ns, rss_kib, switches
from scenarios import IDLE, RELOAD, RELOAD_EVERY_S

CLIENTS = {rules.H1: "bench_client", rules.H2: "bench_h2_client", rules.GRPC: "bench_h2_client"}
PROBE_SECONDS = 0.01
PROBES = 10                 # paths that are tried before an arm is measured
SLOWEST = 2 * PATIENCE      # seconds that a client may need beyond those that it was given


def client(arm, **options):
    """The arguments of the load generator."""
    argv = [os.path.join(ROOT, "build", CLIENTS[arm.setup.protocol]),
            "--to", "%s:%d" % arm.target]
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
    made = arm.setup.make_rules()
    if arm.setup.reload:    # only what is allowed before and after
        after = set(arm.setup.make_rules(changed=True))
        made = [rule for rule in made if rule in after]
    paths = [scenario.target] if scenario.target else rules.targets(made)
    return {"connections": scenario.connections, "method": scenario.method,
            "body": scenario.up or scenario.message, "grpc": scenario.messages,
            "streams": scenario.streams,
            "close": scenario.close, "websocket": scenario.websocket,
            "expect": scenario.expected_of(arm), "targets": _targets(arm, "targets", paths)}


def check(arm):
    """The arm lets pass what is allowed, and nothing else; otherwise measuring it means nothing."""
    made = arm.setup.make_rules()
    allowed = rules.targets(made)
    some = [allowed[i * (len(allowed) - 1) // (PROBES - 1)] for i in range(PROBES)]
    exact = [rule.target for rule in made if rule.target in some and rule.kind != rules.PREFIX]
    calls = {"grpc": 1, "body": 1} if arm.setup.protocol == rules.GRPC else {}
    refused = 403 if arm.filters and arm.setup.l7 else 200
    for what, paths, options, expect in (
            ("what is allowed", some, calls, 200),
            ("a path that no rule has", [rules.DENIED], calls, refused),
            ("a path with more behind it", [path + "%2e/x" for path in exact], calls, refused),
            ("a method that no rule has", some, {"method": "PUT", "body": 1}, refused)):
        if options.get("method") and not arm.methods:
            continue
        argv = client(arm, seconds=PROBE_SECONDS, expect=expect,
                      targets=_targets(arm, "probe", paths), **options)
        done = _patiently(arm, functools.partial(arm.workload.run, argv, PATIENCE))[0]
        if done["unexpected"]:
            raise BenchError(f"{arm.name} does not answer {expect} to {what}: {done}")
    if arm.setup.reload and arm.filters:
        _check_reload(arm)


def _check_reload(arm):
    """New rules come into force, and old ones go out of it."""
    old, new = (set(rules.targets(arm.setup.make_rules(changed)))
                for changed in (False, True))

    def probe(paths, expect):
        argv = client(arm, seconds=PROBE_SECONDS, expect=expect,
                      targets=_targets(arm, "probe", paths))
        if arm.workload.run(argv, PATIENCE)[0]["unexpected"]:
            raise BenchError(f"{arm.name} does not answer {expect} to {paths} after a reload")

    for changed, come, gone in (True, new - old, old - new), (False, old - new, new - old):
        arm.reload(arm.setup.make_rules(changed))
        _patiently(arm, functools.partial(probe, come, 200))
        _patiently(arm, functools.partial(probe, gone, 403))


def _patiently(arm, function):
    """What FUNCTION returns once it succeeds: a proxy that has just been started may not listen
    yet, and one that has just been told to reload is still at it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return function()
        except BenchError:
            arm.check_alive()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _costs(arm, server):
    """What the proxy and the server have cost so far."""
    return [{"cpu_us": cpu_ns(pids) / 1000, "switches": switches(pids)}
            for pids in (arm.pids(), [server.pid])]


def _run_reloading(arm, argv, seconds):
    """Replace the rules once a second while the load goes on."""
    # Made beforehand: that costs the CPU which is measured.
    made = [arm.setup.make_rules(changed) for changed in (True, False)]
    arm.workload.start(argv)
    begin, done = time.monotonic(), 0
    while (done + 1) * RELOAD_EVERY_S < seconds:
        time.sleep(max(0, begin + (done + 0.5) * RELOAD_EVERY_S - time.monotonic()))
        arm.reload(made[done % 2])
        done += 1
    return arm.workload.end(seconds + SLOWEST)


def _check_outcome(arm, scenario, done):
    wrong = [name for name in ("unexpected", "failed") if done[name]]
    if scenario.kind == RELOAD and "unexpected" not in wrong:
        wrong = []      # reported: what a reload does to connections is part of the result
    if wrong or not done["bytes"]:
        raise BenchError(f"{scenario.name} over {arm.name}: {done}")


def measure(arm, scenario, server, mode):
    """One round. Returns a dictionary of figures."""
    if scenario.kind == IDLE:
        return _measure_idle(arm, scenario)
    reloads = scenario.kind == RELOAD
    seconds = mode.reload_seconds if reloads else mode.seconds
    options = _options(arm, scenario)
    argv = client(arm, seconds=seconds, **options)
    calm = arm.workload.run(argv, seconds + SLOWEST)[0] if reloads else {"p99_us": None}
    before = _costs(arm, server)
    if reloads:
        done, client_cost = _run_reloading(arm, argv, seconds)
    elif arm.setup.protocol == rules.H2:
        done, client_cost = h2load.run(arm, scenario, seconds, options, SLOWEST)
    else:
        done, client_cost = arm.workload.run(argv, seconds + SLOWEST)
    proxy, far = ({name: after[name] - before[i][name] for name in after}
                  for i, after in enumerate(_costs(arm, server)))
    _check_outcome(arm, scenario, done)
    size = scenario.down or scenario.up
    exchanges = done["all_bytes"] / size if size else done["all_exchanges"]
    rate = (done["bytes"] / size if size else done["exchanges"]) / done["seconds"]
    times = {name: done[name] if done["exchanges"] else None
             for name in ("p50_us", "p99_us", "max_us")}
    return {"rate": rate, **times, "p99_calm_us": calm["p99_us"],
            "cpu_us_per_request": proxy["cpu_us"] / exchanges if arm.pids() else None,
            "server_us_per_request": far["cpu_us"] / exchanges,
            "client_us_per_request": client_cost["cpu_us"] / exchanges,
            "switches_per_request":
                (proxy["switches"] + far["switches"] + client_cost["switches"]) / exchanges,
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
