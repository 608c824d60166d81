"""The simulation as figures, for the benchmark."""

from __future__ import annotations

from bench.simulation.runs import OURS, Runs, consumers, gateways
from bench.simulation.traces import traces


def simulate() -> tuple[Runs, Runs, list[str]]:
    """Consumers, gateways, and the names of the traces."""
    every = traces()
    return consumers(every), gateways(every), [trace.name for trace in every]


def figures() -> dict[str, float]:
    """By name, what is late and what it costs: ours, and each rival at about the same replica-seconds."""
    each_consumers, each_gateways, _ = simulate()
    found: dict[str, float] = {}
    for what, runs in (("consumers", each_consumers), ("gateways", each_gateways)):
        who = {"ours": OURS, **{rival.lower(): runs.alike(rival) for rival in runs.rivals}}
        for key, name in who.items():
            late, replica_seconds, events = runs.total(name)
            found[f"simulation_{what}_late_s_{key}"] = late
            found[f"simulation_{what}_replica_s_{key}"] = float(replica_seconds)
            found[f"simulation_{what}_changes_{key}"] = float(events)
    return found
