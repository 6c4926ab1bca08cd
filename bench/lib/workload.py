# SPDX-License-Identifier: Apache-2.0
"""The bench's end of a spawner: where an arm's load generator runs."""
import json
import os
import select
import subprocess
import sys
import time

from processes import PATIENCE, BenchError, Process

SPAWNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spawner.py")


def _last_line(lines):
    return json.loads(lines[-1])


class Workload:
    """`with Workload(prefix, output) as w: w.run(argv)`. PREFIX is what the spawner is started
    with: the way into a namespace, and for sluice its command line."""

    def __init__(self, prefix, output):
        self.process = Process([*prefix, sys.executable, "-B", SPAWNER], output,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.unread = b""

    def __enter__(self):
        try:
            self._next(time.monotonic() + PATIENCE)
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(self, *_):
        self.process.process.stdin.close()
        try:
            self.process.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        self.process.stop()

    def _next(self, deadline):
        """The next message, a dictionary."""
        pipe = self.process.process.stdout
        while b"\n" not in self.unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise BenchError(f"no answer from the load generator\n{self.process.said()}")
            more = os.read(pipe.fileno(), 1 << 16)
            if not more:
                self.process.process.wait(PATIENCE)
                self.process.check()
            self.unread += more
        line, _, self.unread = self.unread.partition(b"\n")
        return json.loads(line)

    def start(self, argv):
        self.process.process.stdin.write(json.dumps(argv).encode() + b"\n")
        self.process.process.stdin.flush()

    def line(self, timeout):
        """The next line that the program prints."""
        message = self._next(time.monotonic() + timeout)
        if "line" not in message:
            raise BenchError(f"the load generator ended early: {message}")
        return json.loads(message["line"])

    def end(self, timeout, read=_last_line):
        """Wait for the program's end. Returns what READ makes of its lines, and what it cost: that
        message."""
        deadline, lines = time.monotonic() + timeout, []
        while True:
            message = self._next(deadline)
            if "code" in message:
                break
            lines.append(message["line"])
        if message["code"] != 0 or not lines:
            raise BenchError(f"the load generator failed: {message['errors'].strip()}")
        return read(lines), message

    def run(self, argv, timeout, read=_last_line):
        self.start(argv)
        return self.end(timeout, read)
