# SPDX-License-Identifier: Apache-2.0
"""What the figures were measured on."""
import os
import re
import subprocess
import time

QUIET = 0.1             # of all cores: more than this, and figures are not worth much
LOOK_SECONDS = 0.5


def _first(path, pattern):
    with open(path, encoding="utf-8", errors="replace") as file:
        found = re.search(pattern, file.read(), re.MULTILINE)
    return found[1].strip() if found else None


def describe():
    return {"cpu": _first("/proc/cpuinfo", r"^model name\s*: (.*)"),
            "virtual": "hypervisor" in (_first("/proc/cpuinfo", r"^flags\s*: (.*)") or ""),
            "cores": os.cpu_count(),
            "memory_mib": int(_first("/proc/meminfo", r"^MemTotal:\s*(\d+)")) // 1024,
            "kernel": re.match(r"\d+(\.\d+)*", os.uname().release)[0],
            "system": _first("/etc/os-release", r'^PRETTY_NAME="(.*)"'),
            "congestion_control": _first("/proc/sys/net/ipv4/tcp_congestion_control", "(.*)"),
            "busy_before": round(busy(), 3),
            "date": time.strftime("%Y-%m-%d", time.gmtime())}


def _times():
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    return sum(fields), fields[3] + fields[4]


def busy(seconds=LOOK_SECONDS):
    """The part of all cores that others use."""
    before = _times()
    time.sleep(seconds)
    after = _times()
    total = after[0] - before[0]
    return 1 - (after[1] - before[1]) / total if total else 0


def commit(root):
    """The commit that is measured, with "+" if the tree has changes that are not committed."""
    git = ["git", "-c", "safe.directory=*", "-C", root]
    done = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"],
                             capture_output=True, text=True).stdout.strip()
    return done.stdout.strip() + ("+" if changed else "") if done.returncode == 0 else None
