# SPDX-License-Identifier: Apache-2.0
"""The part of the demo with pods: a containerd of its own, two pods and one `sluice agent`, which
holds them to demo/pods.yaml by their labels. The pods know nothing of it.

As a program it is the whole of that part: exits 1 if anything is not as it should be."""
import collections
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SLUICE = os.environ.get("SLUICE", os.path.join(os.path.dirname(HERE), "build", "sluice"))
TESTS = os.path.join(os.path.dirname(HERE), "tests", "lib")
PROGRAMS = "containerd", "runc", "ctr"
DEADLINE = 60
SITE = ("mkdir -p /tmp/www/public /tmp/www/admin && echo public >/tmp/www/public/index.html && "
        "echo admin >/tmp/www/admin/index.html && exec httpd -f -p 8080 -h /tmp/www")

Row = collections.namedtuple("Row", "method path family answer")
ROWS = [
    Row("GET", "/public/index.html", 4, "200"),
    Row("GET", "/public/index.html", 6, "200"),
    Row("GET", "/admin/index.html", 4, "403"),
    Row("POST", "/public/index.html", 4, "403"),
    Row("GET", "/public/../admin/index.html", 6, "403"),
]


def why_not():
    """Why a container runtime cannot run here, or None."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"there is no {', '.join(missing)} here"
    if not os.path.isdir("/usr/lib/cni"):
        return "there are no CNI plugins here"
    return None


class Agent:
    def __init__(self, folder, pods):
        self.log, self.state = os.path.join(folder, "records"), os.path.join(folder, "state")
        path = os.path.join(folder, "agent.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"policies": os.path.join(HERE, "pods.yaml"), "pods": pods.config(),
                       "log": self.log, "state": self.state}, file)
        self.process = subprocess.Popen([SLUICE, "agent", "--config", path],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait(self, condition):
        """Until it holds of the status."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            done = subprocess.run([SLUICE, "status", "--json", "--socket", f"{self.state}/status"],
                                  capture_output=True, text=True)
            if done.returncode == 0 and condition(json.loads(done.stdout)):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"demo: the agent did not hold the pods\n{self.end()[1]}")

    def end(self):
        """Returns its records and what it said."""
        self.process.terminate()
        said = self.process.communicate(timeout=DEADLINE)[1]
        with open(self.log, encoding="utf-8") as file:
            return [json.loads(line) for line in file], said


def ask(client, server, row):
    """What curl says in the client."""
    address = server.addresses()[row.family == 6]
    host = f"[{address}]" if row.family == 6 else address
    return client.exec("curl", "-qgsS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}",
                       "--path-as-is", "-X", row.method, f"http://{host}:8080{row.path}",
                       check=False)


def reason(record):
    if record["verdict"] == "FORWARDED":
        rule = record["policy"]["rule"]
        return f'{rule[rule.find("rules."):]} of policy "{record["policy"]["name"]}"'
    return re.sub(r"^no rule allows it; nearest: (\S+) of policy \S+ ", r"no rule; nearest: \1 ",
                  record["reason"])


def print_table(answers, records):
    """Returns whether all is right."""
    asked = [r for r in records if r.get("l7", {}).get("type") == "REQUEST"]
    right = len(asked) == len(answers)
    lines = [("FROM", "TO", "REQUEST", "ANSWER", "BECAUSE OF")]
    for (row, answer), record in zip(answers, asked):
        ends = [f"{record[end].get('namespace')}/{record[end].get('workload')}"
                for end in ("source", "destination")]
        good = answer == row.answer and ends == ["demo/client", "demo/shop"]
        right &= good
        lines.append((*ends, f"{row.method:4} {row.path}  (IPv{row.family})", answer,
                      reason(record) + ("" if good else f"   <-- WRONG, {row.answer} was due")))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    for line in lines:
        print("  ".join([*(cell.ljust(w) for cell, w in zip(line, widths)), line[4]]))
    if not right:
        print(f"WRONG: {len(asked)} of {len(answers)} requests were recorded: {asked}")
    return right


def show(folder, pods):
    agent = Agent(folder, pods)
    try:
        agent.wait(lambda status: status["pods"]["answers"])
        shop, client = (pods.run(name, "demo", {"app": name}) for name in ("shop", "client"))
        shop.start("web", "sh", "-c", SITE, ports={"web": 8080})
        caller = client.start("main", "sleep", "1000", mounts=["/usr"])
        agent.wait(lambda status: len([w for w in status["workloads"] if w["pod"] and w["enforced"]
                                       and (w["ingress"] or w["name"] == "client")]) == 2)
        # The server begins, and how its port is called is known, a moment later.
        deadline = time.monotonic() + DEADLINE
        first = ask(caller, shop, ROWS[0])
        while first == "000" and time.monotonic() < deadline:
            time.sleep(0.05)
            first = ask(caller, shop, ROWS[0])
        answers = [(ROWS[0], first), *((row, ask(caller, shop, row)) for row in ROWS[1:])]
    except BaseException:
        agent.process.kill()
        agent.process.communicate()
        subprocess.run([SLUICE, "cleanup"], capture_output=True)
        raise
    records, said = agent.end()
    right = print_table(answers, records)
    print("\nThe agent said at its end:\n")
    print("\n".join(f"    {line}" for line in said.splitlines() if line.startswith("denied")))
    return right


def main():
    """Returns whether all is right, also where it had to be left out."""
    reason_ = why_not()
    if reason_:
        print(f"\nPods: left out, since {reason_}.")
        return True
    sys.path.insert(0, TESTS)
    from pods import Pods  # needs gRPC for Python
    print("\nTwo pods of a containerd, held by `sluice agent` to demo/pods.yaml, which selects them by "
          "label:\n", flush=True)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-pods-"))
        os.chmod(folder, 0o755)
        try:
            pods = stack.enter_context(Pods(folder))
        except (OSError, RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
            print(f"left out, since a container runtime cannot run here: {error}")
            return True
        return show(folder, pods)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
