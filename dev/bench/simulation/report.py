"""The runs as a table for the terminal and for docs/scaling."""

from __future__ import annotations

from bench.simulation.consumer_world import Result
from bench.simulation.gateway_world import GatewayResult
from bench.simulation.runs import OURS, Runs

INTRODUCTION = """# Scaling, simulated

Written by `python dev/bench/simulation`; why it is decided so stands in
[0010](../decisions/0010-scaling.md). The same seeded traces, second by second, under our decisions, the HPA and KEDA.
Before each, 40 minutes with one burst are lived through and not counted.

![Replicas over time](simulation.svg)

Of each rival two settings are shown: the one whose replica-seconds are nearest to ours, and the one with the least
that is late at any price. All that were tried stand at the end, with four other settings of ours. The HPA looks every
15 s, with its default behaviour; KEDA's lag goes through it. Nobody is told how fast a consumer is, but KEDA's
thresholds are multiples of it.
"""

CONSUMERS = """
## Consumers

24 partitions, 1 to 12 replicas of 200 records/s, 12 to 22 s until a pod joins, 5 s in which nobody consumes when the
members change, a commit every 5 s. *Late*: record-seconds of waiting beyond `targetDrain`, 30 s.
"""

GATEWAYS = """
## Gateways

2 to 20 gateways of 5,000 sockets and 100 connects/s, 15 to 25 s until one is ready, users who turn to another page
every 20 minutes and try again each second. *Late*: socket-seconds of users whom no gateway takes. *Dropped*: sockets
closed by taking gateways away. In the school day the fullest gateway dies after three hours.
"""

ENDING = """
## What the simulation does not say

- In the metric outage nobody decides anything for 20 minutes while the load grows by half: whoever had more replicas
  before loses less. At about the same replica-seconds all lose much; the settings that keep twice what is needed lose
  nothing. A larger `minReplicas` is the insurance.
- Who is late by design may need fewer replicas. Under other loads, rates and partitions KEDA at 30 s of work costs from
  a quarter more to 7 % less than ours, always tens of millions of record-seconds late; the numbers stand in 0010.
- Records lie nearly evenly on the partitions. When one partition has most of them, no number of replicas helps.
- More replicas do more work here. Where they wait for one database they would not, and all three would go to the
  maximum.
"""


def table(runs: Runs, names: list[str], traces: list[str]) -> list[str]:
    """One row for each trace and scaler."""
    dropped = isinstance(runs.results[OURS][traces[0]], GatewayResult)
    rows = [
        "| trace | who | late | most late at once | replica-seconds | changes |" + (" dropped |" if dropped else ""),
        "|---|---|--:|--:|--:|--:|" + ("--:|" if dropped else ""),
    ]
    cells = [
        f"| {trace if name == OURS else ''} | {_bold(name)} | {_cells(runs.results[name][trace])} |"
        for trace in traces
        for name in names
    ]
    return [*rows, *cells]


def totals(runs: Runs) -> list[str]:
    """One row for each scaler, all traces together; and all but the outage."""
    rows = [
        "| who | late | without the outage | replica-seconds | changes |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in runs.results:
        late, replica_seconds, events = runs.total(name)
        seen = sum(result.late for trace, result in runs.results[name].items() if trace != "metric outage")
        rows.append(f"| {_bold(name)} | {late:,.0f} | {seen:,.0f} | {replica_seconds:,} | {events} |")
    return rows


def page(consumers: Runs, gateways: Runs, traces: list[str]) -> str:
    """docs/scaling/simulation.md."""
    parts = [INTRODUCTION]
    for head, runs in ((CONSUMERS, consumers), (GATEWAYS, gateways)):
        parts += [head, *table(runs, runs.shown(), traces), "\nAll traces together:\n", *totals(runs)]
    return "\n".join([*parts, ENDING])


def _bold(name: str) -> str:
    return f"**{name}**" if name == OURS else name


def _cells(result: Result) -> str:
    cells = [f"{result.late:,.0f}", f"{result.worst:,}", f"{result.replica_seconds:,}", f"{result.events}"]
    if isinstance(result, GatewayResult):
        cells.append(f"{result.dropped:,}")
    return " | ".join(cells)
