# SPDX-License-Identifier: Apache-2.0
"""The end of a folder in which scenes, or what they run, may have mounted something: the machine's own
files, perhaps, which must not go with it."""
import shutil
import subprocess

from procfs import mounts


def mounted_below(path):
    """What is mounted at PATH and below, in the order in which it was."""
    return [point for point, _ in mounts() if point == path or point.startswith(path + "/")]


def unmount(path):
    """As much of that as can be; some may go by itself meanwhile."""
    # Private first, so that what is unmounted here stays where it comes from.
    points = [point for point in mounted_below(path)
              if subprocess.run(["mount", "--make-private", point], check=False).returncode == 0]
    for point in reversed(points):
        subprocess.run(["umount", "-l", point], check=False)


def remove(path, ignore_errors=False):
    """The folder and what is in it, once nothing is mounted there."""
    unmount(path)
    left = mounted_below(path)
    if left:
        raise OSError(f"{path} stays, as there is still mounted: {left}")
    shutil.rmtree(path, ignore_errors=ignore_errors)
