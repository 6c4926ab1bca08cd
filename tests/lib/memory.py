# SPDX-License-Identifier: Apache-2.0
"""Makes allocations of sluice fail, at a place of the scene's choice: see failing_malloc.c."""
import mmap
import os
import struct

from sluice import BINARY

# Beside the binary, in its build directory.
LIBRARY = os.path.join(os.path.dirname(BINARY), "libfailing_malloc.so")
FIELDS = "armed", "nth", "again", "seen", "failed"


class FailingMemory:
    """The knob of one run. Give .environment to the run that shall suffer."""

    def __init__(self, folder):
        path = os.path.join(folder, "failing-memory")
        with open(path, "wb") as file:
            file.write(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.environment = {"LD_PRELOAD": LIBRARY, "FAILING_MALLOC_PROGRAM": BINARY,
                            "FAILING_MALLOC_CONTROL": path}

    def _at(self, name):
        return 4 * FIELDS.index(name)

    def get(self, name):
        return struct.unpack_from("=I", self.map, self._at(name))[0]

    def _set(self, name, value):
        struct.pack_into("=I", self.map, self._at(name), value)

    def arm(self, nth, again=False):
        """From now on allocation number NTH fails, and with AGAIN each NTH; 0: they are counted."""
        for name, value in (("armed", 0), ("seen", 0), ("failed", 0), ("nth", nth),
                            ("again", int(again)), ("armed", 1)):
            self._set(name, value)

    def disarm(self):
        """All is well again. Returns how many failed."""
        self._set("armed", 0)
        return self.get("failed")
