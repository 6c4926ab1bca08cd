# SPDX-License-Identifier: Apache-2.0
"""A program that runs programs, so that a workload stays alive between measurements: under
`sluice run` the load generator has to be a child of the command that sluice started, and starting
sluice anew for each measurement would measure its start.

Reads a line of JSON, an argument vector; starts it; passes its lines on as {"line": ...}; and says
at last {"code": exit code, "cpu_us": what it cost, "switches": how often it stopped running, "errors": what it said}. Ends with its input."""
import json
import os
import subprocess
import sys
import tempfile


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def run(argv):
    with tempfile.TemporaryFile() as errors:
        try:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=errors, text=True)
        except OSError as why:
            say(code=127, cpu_us=0, switches=0, errors=str(why))
            return
        for line in child.stdout:
            say(line=line.rstrip("\n"))
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        say(code=child.returncode, cpu_us=(usage.ru_utime + usage.ru_stime) * 1e6,
            switches=usage.ru_nvcsw + usage.ru_nivcsw,
            errors=errors.read().decode(errors="replace"))


def main():
    say(ready=True)
    for line in sys.stdin:
        run(json.loads(line))


if __name__ == "__main__":
    main()
