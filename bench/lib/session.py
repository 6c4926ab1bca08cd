# SPDX-License-Identifier: Apache-2.0
"""A run of the benchmark: every scenario, its arms in turn, round after round."""
import contextlib
import itertools
import os
import statistics
import tempfile

import load
import places
import rules
import scenarios
from arms import ROOT, Direct, Sluice
from peers import PEERS
from processes import PATIENCE, BenchError, Process

ARMS = {arm.name: arm for arm in (Direct, Sluice, *PEERS)}
SERVERS = {rules.H1: "bench_server", rules.H2: "bench_h2_server", rules.GRPC: "bench_h2_server"}
SERVER_PORT = 8000
SPREAD = ("rate",)          # figures that are given with their lowest and highest


class Session:
    """Collects RESULTS, what was NOT_MEASURED and why, and ERRORS: an arm that does not do what it
    is compared for."""

    def __init__(self, mode, say, wanted_arms=None, wanted_scenarios=None, wanted_places=None):
        self.mode, self.say = mode, say
        self.wanted_scenarios = wanted_scenarios
        self.places = wanted_places or mode.places
        self.results, self.not_measured, self.errors = [], [], []
        self.arms = []
        for name in wanted_arms or mode.arms or ARMS:
            why = ARMS[name].missing()
            if why:
                self.leave_out(why, arm=name)
            else:
                self.arms.append(ARMS[name])

    def leave_out(self, why, **what):
        entry = {**what, "why": why}
        if entry not in self.not_measured:
            self.not_measured.append(entry)

    def possible(self, scenario):
        why = scenario.cannot()
        if why:
            self.leave_out(why, scenario=scenario.name)
        return not why

    def fail(self, why):
        self.errors.append(str(why))
        self.say(f"ERROR: {why}")

    def run(self):
        for name in self.places:
            todo = [s for s in scenarios.chosen(self.mode, name)
                    if (not self.wanted_scenarios or s.name in self.wanted_scenarios)
                    and self.possible(s)]
            for _, group in itertools.groupby(todo, scenarios.Scenario.together):
                with places.PLACES[name]() as place, \
                        tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
                    os.chmod(folder, 0o755)
                    Group(self, place, folder).run(list(group))


class Group:
    """Scenarios that are measured together, at one place, with one server."""

    def __init__(self, session, place, folder):
        self.session, self.place, self.folder = session, place, folder
        self.made = 0
        self.server = None

    def run(self, todo):
        address = self.place.server_address, SERVER_PORT
        program = os.path.join(ROOT, "build", SERVERS[todo[0].setup.protocol])
        self.server = Process([*self.place.server.prefix, program, *map(str, address)],
                              os.path.join(self.folder, "server.output"))
        try:
            waiting = [s for s in todo if s.kind != scenarios.IDLE]
            with contextlib.ExitStack() as stack:
                running = {setup: self._start_all(stack, setup,
                                                  [s for s in waiting if s.setup == setup])
                           for setup in dict.fromkeys(s.setup for s in waiting)}
                # Those with setups of their own are compared with each other: a round has all.
                batches = [waiting] if len(running) > 1 else [[s] for s in waiting]
                for batch in batches:
                    self._rounds({scenario: running[scenario.setup] for scenario in batch})
            for scenario in todo:
                if scenario.kind == scenarios.IDLE:
                    self._rounds_anew(scenario)
        finally:
            self.server.stop()

    def _arms(self, setup):
        return [arm for arm in self.session.arms if setup.protocol in arm.protocols]

    def _make(self, arm_class, setup):
        self.made += 1
        folder = os.path.join(self.folder, f"{self.made}-{arm_class.name}")
        os.mkdir(folder, 0o755)
        # What it starts as another user has to be able to write there.
        os.chmod(folder, 0o777)
        return arm_class(setup, self.place, (self.place.server_address, SERVER_PORT), folder,
                         self.made)

    def _start_all(self, stack, setup, todo):
        running = {}
        for arm_class in self._arms(setup):
            why = arm_class.cannot(setup)
            if why:
                for scenario in todo:
                    self.session.leave_out(why, arm=arm_class.name, scenario=scenario.name)
                continue
            try:
                arm = stack.enter_context(self._make(arm_class, setup))
                load.check(arm)
                running[arm_class.name] = arm
            except BenchError as why_not:
                self.session.fail(why_not)
        return running

    def _rounds(self, arms_of):
        """ARMS_OF has, for each scenario, the arms that run for it."""
        samples = {scenario: {name: [] for name in running}
                   for scenario, running in arms_of.items()}
        for _ in range(self.session.mode.rounds):
            for scenario, running in arms_of.items():
                for name, arm in list(running.items()):
                    try:
                        samples[scenario][name].append(
                            load.measure(arm, scenario, self.server, self.session.mode))
                    except BenchError as why:
                        self.session.fail(why)
                        del running[name], samples[scenario][name]
        for scenario, taken in samples.items():
            self._record(scenario, taken)

    def _rounds_anew(self, scenario):
        """A new proxy for every round: memory that it keeps would hide what the next ones cost."""
        classes = [arm for arm in self._arms(scenario.setup)
                   if arm.filters and not arm.cannot(scenario.setup)]
        samples = {arm.name: [] for arm in classes}
        for _ in range(self.session.mode.rounds):
            for arm_class in classes:
                if arm_class.name not in samples:
                    continue
                try:
                    with self._make(arm_class, scenario.setup) as arm:
                        load.check(arm)
                        samples[arm.name].append(load.measure(arm, scenario, self.server,
                                                              self.session.mode))
                except BenchError as why:
                    self.session.fail(why)
                    del samples[arm_class.name]
        self._record(scenario, samples)

    def _record(self, scenario, samples):
        for name, taken in samples.items():
            if taken:
                self.session.results.append({
                    "scenario": scenario.name, "arm": name, "place": self.place.name,
                    "log": scenario.setup.log, **summary(taken)})
        self.session.say(f"{scenario.name}, {self.place.name}"
                         + (", with logs" if scenario.setup.log else "") + ": done")


def summary(samples):
    """The medians of what the rounds gave, and the rounds themselves."""
    names = ("rate", "p50_us", "p99_us", "p99_calm_us", "cpu_us_per_request", "rss_kib",
             "client_us_per_request", "server_us_per_request", "switches_per_request",
             "kib_per_connection", "failed", "reopened")
    found = {}
    for name in names:
        values = [sample[name] for sample in samples if sample.get(name) is not None]
        if not values:
            found[name] = None
        elif name in SPREAD:
            found[name] = {"median": rounded(statistics.median(values)),
                           "min": rounded(min(values)), "max": rounded(max(values))}
        else:
            found[name] = rounded(statistics.median(values))
    found["rounds"] = [{name: rounded(value) for name, value in sample.items()}
                       for sample in samples]
    return found


def rounded(value):
    """Four digits that count."""
    return value if value is None or isinstance(value, int) else float(f"{value:.4g}")


def add_ratios(results):
    """`ratio` is the rate in relation to that of `direct` in the same scenario."""
    direct = {(r["scenario"], r["place"], r["log"]): r["rate"]["median"]
              for r in results if r["arm"] == "direct" and r["rate"]}
    for result in results:
        base = direct.get((result["scenario"], result["place"], result["log"]))
        result["ratio"] = rounded(result["rate"]["median"] / base) if base and result["rate"] \
            else None


__all__ = ["ARMS", "PATIENCE", "Session", "add_ratios"]
