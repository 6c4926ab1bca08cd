# SPDX-License-Identifier: Apache-2.0
"""What scenes of pods share."""
from policies import app


def to(name, key="toEndpoints"):
    """A peer, for the rules of policies.py."""
    return f"{key}: [{app(name)}], "


def come(name):
    return to(name, "fromEndpoints")


def held(agent, *pods):
    """Until each of PODS is held to its own policy. Returns what the status says of them."""
    def look(status):
        found = {w["pod"]["sandbox"]: w for w in status["workloads"] if w["pod"]}
        return all(found.get(p.id, {}).get("enforced") for p in pods) and found
    found = agent.wait_until(look, f"the pods {[p.name for p in pods]}")
    return [found[p.id] for p in pods]
