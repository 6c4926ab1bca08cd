# SPDX-License-Identifier: Apache-2.0
"""The arms: ways from the load generator to the server. Here those without a proxy that is dialled;
the others are in peers.py."""
import os
import re
import subprocess
from dataclasses import dataclass

import rules
from processes import BenchError
from workload import Workload

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLUICE = os.path.realpath(os.environ.get("SLUICE") or os.path.join(ROOT, "build", "sluice"))


@dataclass(frozen=True)
class Setup:
    """What the arms of some scenarios have in common."""
    protocol: str = rules.H1
    rules: int = 10
    l7: bool = True         # or only addresses and ports, so that sluice leaves connections alone
    log: bool = False
    reload: bool = False
    pool: bool = True       # a peer may keep connections to the server, and lend them out

    def make_rules(self, changed=False):
        return rules.make(self.rules, changed, self.protocol)


class Arm:
    """`with Arm(setup, place, server, folder, number) as arm`: ready to be measured. `arm.workload`
    runs load generators, which dial `arm.target`; `arm.pids()` are the proxy's. NUMBER is another
    one for each arm that runs at a time."""
    name = None
    filters = True          # answers 403 to what the rules do not allow
    l7_only = True          # cannot leave a connection alone
    methods = True          # can refuse a request for its method
    protocols = rules.H1, rules.H2, rules.GRPC      # that it is compared for

    def __init__(self, setup, place, server, folder, number):
        self.setup, self.place, self.server, self.folder = setup, place, server, folder
        self.number = number
        self.target = server
        self.workload = None

    @classmethod
    def missing(cls):
        """Why it cannot be measured here, or None."""
        return None

    @classmethod
    def version(cls):
        """Its number, or None if it is no program."""
        said = cls.says_of_itself()
        return re.search(r"\d+\.\d+[\w.+-]*", said)[0] if said else None

    @classmethod
    def says_of_itself(cls):
        return None

    @classmethod
    def cannot(cls, setup):
        """Why it cannot be measured in this setup, or None."""
        if cls.l7_only and not setup.l7:
            return "reads every connection"
        return None

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        """The file is there at once as a whole."""
        with open(self.path(name + ".new"), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(self.path(name + ".new"), self.path(name))

    def __enter__(self):
        self.workload = Workload(self.place.client.prefix, self.path("workload.output")).__enter__()
        return self

    def __exit__(self, *what):
        self.workload.__exit__(*what)

    def pids(self):
        return []

    def check_alive(self):
        """Fails with what the proxy said, if it has ended."""
        self.workload.process.check()

    def reload(self, made):
        """Put the rules MADE in the place of those in force. Does not wait."""
        raise NotImplementedError


class Direct(Arm):
    name = "direct"
    filters = False
    l7_only = False

    def reload(self, made):
        pass


POLICY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: bench
spec:
  endpointSelector: {{}}
  egress:
  - toCIDR: [{address}/32]
    toPorts:
    - ports:
      - {{port: "{port}", protocol: TCP}}
"""
PATTERNS = {rules.LITERAL: "{}", rules.PREFIX: "{}.*", rules.REGEX: "{}"}


class Sluice(Arm):
    """The generator runs under `sluice run` and dials the server itself."""
    name = "sluice"
    l7_only = False

    @classmethod
    def missing(cls):
        return None if os.access(SLUICE, os.X_OK) else f"no {os.path.relpath(SLUICE, ROOT)}"

    @classmethod
    def says_of_itself(cls):
        return subprocess.run([SLUICE, "--version"], capture_output=True, text=True,
                              check=True).stdout

    def _policy(self, made):
        address, port = self.server
        text = POLICY.format(address=address, port=port)
        if self.setup.protocol == rules.GRPC:
            text += "      rules:\n        grpc:\n"
            for rule in made:
                service, method = rule.text[1:].split("/")
                text += f"        - {{service: '{re.escape(service)}', method: {method}}}\n"
        elif self.setup.l7:
            text += "      rules:\n        http:\n"
            text += "".join(f"        - {{method: {rule.method}, "
                            f"path: '{PATTERNS[rule.kind].format(rule.text)}'}}\n"
                            for rule in made)
        return text

    def __enter__(self):
        self.write("policy.yaml", self._policy(self.setup.make_rules()))
        options = ["-p", self.path("policy.yaml")]
        options += ["--log", self.path("log")] if self.setup.log else []
        options += ["--follow"] if self.setup.reload else []
        self.workload = Workload(
            [*self.place.client.prefix, SLUICE, "run", *options, "--"],
            self.path("sluice.output")).__enter__()
        return self

    def __exit__(self, *what):
        super().__exit__(*what)
        if what[0] is None and self.workload.process.process.returncode != 0:
            raise BenchError(f"sluice failed:\n{self.workload.process.said()}")

    def pids(self):
        return [self.workload.pid]

    def reload(self, made):
        self.write("policy.yaml", self._policy(made))       # it watches the file
