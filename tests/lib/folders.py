# SPDX-License-Identifier: Apache-2.0
"""The end of a folder in which scenes, or what they run, may have mounted something: the machine's own
files, perhaps, which must not go with it."""
import shutil
import subprocess

from procfs import mounts


def _mounted_below(path):
    return [point for point, _ in mounts() if point == path or point.startswith(path + "/")]


def remove(path, ignore_errors=False):
    """The folder and what is in it, once nothing is mounted there."""
    points = _mounted_below(path)
    # First, so that what is unmounted here stays where it comes from.
    for point in points:
        subprocess.run(["mount", "--make-private", point], check=True)
    for point in reversed(points):
        subprocess.run(["umount", "-l", point], check=True)
    left = _mounted_below(path)
    if left:
        raise OSError(f"{path} stays, as there is still mounted: {left}")
    shutil.rmtree(path, ignore_errors=ignore_errors)
