"""Every trace under every scaler, and which of a rival's settings are its best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.simulation import consumer_world, gateway_world, scalers
from bench.simulation.consumer_world import ConsumerWorld, Result
from bench.simulation.gateway_world import GatewayWorld
from bench.simulation.traces import Trace

OURS = "Matrix Hub"
SEED = 1
HPA_CPU = (0.5, 0.6, 0.7, 0.8)
OUR_DRAIN, OUR_WINDOW = (15, 60), (120, 600)
KEDA_SECONDS = (1, 2, 5, 10, 30)
HPA_CONNECTIONS = (2000, 2500, 3000, 3500)


@dataclass(frozen=True)
class Runs:
    """By scaler's name and trace's name, what came of it."""

    results: dict[str, dict[str, Result]]

    def total(self, name: str) -> tuple[float, int, int]:
        """Late, replica-seconds and changes of all traces together."""
        each = self.results[name].values()
        return sum(r.late for r in each), sum(r.replica_seconds for r in each), sum(r.events for r in each)

    @property
    def rivals(self) -> list[str]:
        """Who decides beside us."""
        return sorted({name.split(",")[0] for name in self.results} - {OURS})

    def alike(self, rival: str) -> str:
        """The setting of a rival whose replica-seconds are nearest to ours."""
        ours = self.total(OURS)[1]
        return min(self._of(rival), key=lambda name: abs(self.total(name)[1] - ours))

    def safest(self, rival: str) -> str:
        """The setting of a rival with the least that is late, whatever it costs."""
        return min(self._of(rival), key=lambda name: self.total(name)[0])

    def shown(self) -> list[str]:
        """Ours, and of each rival the setting that costs as much as ours and the one that is safest."""
        chosen = [name for rival in self.rivals for name in (self.alike(rival), self.safest(rival))]
        return [OURS, *dict.fromkeys(chosen)]

    def _of(self, rival: str) -> list[str]:
        return [name for name in self.results if name.startswith(f"{rival},")]


def consumers(traces: tuple[Trace, ...]) -> Runs:
    """Consumers: ours, the HPA on CPU, KEDA on lag."""
    makers: dict[str, Callable[[], consumer_world.Scaler]] = {OURS: scalers.OurConsumers}
    for drain in OUR_DRAIN:
        makers[f"{OURS}, drain {drain} s"] = lambda drain=drain: scalers.OurConsumers(drain=drain)
    for window in OUR_WINDOW:
        makers[f"{OURS}, window {window} s"] = lambda window=window: scalers.OurConsumers(stabilization=window)
    for target in HPA_CPU:
        makers[f"HPA, CPU {target:.0%}"] = lambda target=target: scalers.HpaConsumers(target)
    for seconds in KEDA_SECONDS:
        threshold = seconds * consumer_world.RATE
        makers[f"KEDA, lag {threshold:,}"] = lambda threshold=threshold: scalers.KedaConsumers(threshold)
    return Runs(
        {
            name: {trace.name: ConsumerWorld(trace, SEED).live(make()) for trace in traces}
            for name, make in makers.items()
        }
    )


def gateways(traces: tuple[Trace, ...]) -> Runs:
    """Gateways: ours, the HPA on the mean of connections."""
    makers: dict[str, Callable[[], gateway_world.Scaler]] = {OURS: scalers.OurGateways}
    for target in HPA_CONNECTIONS:
        makers[f"HPA, mean {target:,}"] = lambda target=target: scalers.HpaGateways(target)
    return Runs(
        {
            name: {trace.name: GatewayWorld(trace, SEED).live(make()) for trace in traces}
            for name, make in makers.items()
        }
    )
