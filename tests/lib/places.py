# SPDX-License-Identifier: Apache-2.0
"""Where the workloads of an agent's scene live: each in a network namespace of its own ("away"), which
is what the fixture `place` has for every scene, or in that of the agent ("home"), which the long run
has as well. `@at("home", "away")` above a scene says it otherwise."""
import pytest

PLACES = ["away", pytest.param("home", marks=pytest.mark.long)]


def at(*names):
    return pytest.mark.parametrize("place", names, indirect=True)
