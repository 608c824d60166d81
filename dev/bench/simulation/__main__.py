"""`python dev/bench/simulation`: lives through every trace, prints the table, writes docs/scaling."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.simulation.figures import simulate
from bench.simulation.plot import plot
from bench.simulation.report import page, table, totals

DOCS = Path(__file__).resolve().parents[3] / "docs" / "scaling"


def main() -> int:
    """The exit status."""
    consumers, gateways, traces = simulate()
    for title, runs in (("Consumers", consumers), ("Gateways", gateways)):
        print(f"\n{title}\n")
        print("\n".join([*table(runs, runs.shown(), traces), "", *totals(runs)]))
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / "simulation.md").write_text(page(consumers, gateways, traces))
    (DOCS / "simulation.svg").write_text(plot(consumers, gateways, traces))
    return 0


if __name__ == "__main__":
    sys.exit(main())
