"""What holds for every load, number, bound and trouble."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from matrixhub.scaling import consumers, gateways
from matrixhub.scaling.decision import Bounds, Decision, Pause, pause
from matrixhub.scaling.learning import ConsumerHistory
from matrixhub.scaling.samples import Gateways, GatewaySample, Group, GroupSample, Missing, PartitionSample

bounds = st.tuples(st.integers(1, 15), st.integers(0, 15)).map(lambda pair: Bounds(pair[0], pair[0] + pair[1]))
pauses = st.sampled_from([pause(said) for said in (None, "up", "down", "true")])
gateway_policies = st.builds(
    gateways.GatewayPolicy,
    bounds=bounds,
    target=st.integers(1, 4000),
    limit=st.integers(4000, 6000),
    stabilization=st.sampled_from([0.0, 10.0, 60.0]),
    pause=pauses,
)
consumer_policies = st.builds(
    consumers.ConsumerPolicy,
    bounds=bounds,
    drain=st.floats(1, 600),
    stabilization=st.sampled_from([0.0, 10.0, 60.0]),
    pause=pauses,
)
silent = st.sampled_from([False, False, True])
periods = st.floats(1, 40)
many = st.integers(1, 10)
few = st.integers(0, 5)
ages = st.sampled_from([0, 0, 0, 5, 100])
connections = st.none() | st.integers(-5, 6000) | st.just(10**12)
connects = st.integers(0, 10**6)
offsets = st.integers(0, 10**6)
committed = st.none() | offsets
states = st.sampled_from(["Stable", "Stable", "Stable", "Empty", "Dead", "PreparingRebalance", "New"])


@st.composite
def gateway_looks(draw: st.DrawFn) -> list[tuple[float, Gateways]]:
    """Samples one after the other, with pods that are silent, absurd, unready, stale, or nobody to ask."""
    now, looks = 0.0, []
    for _ in range(draw(many)):
        now += draw(periods)
        pods = tuple(
            GatewaySample(
                f"gateway-{i}",
                ready=draw(st.booleans()),
                taken=now - draw(ages),
                connections=draw(connections),
                connects=draw(connects),
            )
            for i in range(draw(few))
        )
        looks.append((now, Missing("away") if draw(silent) else pods))
    return looks


@st.composite
def group_looks(draw: st.DrawFn) -> list[tuple[float, Group]]:
    """Samples one after the other, with offsets, states and partitions of any kind."""
    now, looks = 0.0, []
    for _ in range(draw(many)):
        now += draw(periods)
        sample = GroupSample(
            taken=now - draw(ages),
            state=draw(states),
            members=draw(st.integers(0, 12)),
            partitions=tuple(
                PartitionSample("t", p, draw(offsets), draw(committed), draw(st.integers(0, 99)))
                for p in range(draw(few))
            ),
        )
        looks.append((now, Missing("away") if draw(silent) else sample))
    return looks


def check(decision: Decision, current: int, limits: Bounds, paused: Pause) -> None:
    """The laws of one decision."""
    replicas = decision.replicas
    if replicas != current:
        assert limits.minimum <= replicas
        assert replicas <= max(limits.maximum, current)
        assert replicas > 0
    if decision.trouble and current <= limits.maximum:
        assert replicas >= current
    assert not (paused.up and replicas > current)
    assert not (paused.down and replicas < current)
    assert decision.reason.isidentifier()
    assert decision.reason[0].isupper()
    assert decision.message


@given(gateway_looks(), gateway_policies, st.integers(1, 30))
def test_gateways(looks: list[tuple[float, Gateways]], policy: gateways.GatewayPolicy, current: int) -> None:
    history = gateways.GatewayHistory()
    for now, samples in looks:
        decision = gateways.decide(samples, current, policy, history, now)
        check(decision, current, policy.bounds, policy.pause)
        assert decision.replicas >= current - 1
        assert len(decision.history.window.peaks) <= policy.bounds.maximum + len(looks)
        history, current = decision.history, decision.replicas


@given(group_looks(), consumer_policies, st.integers(1, 30))
def test_consumers(looks: list[tuple[float, Group]], policy: consumers.ConsumerPolicy, current: int) -> None:
    history = ConsumerHistory()
    for now, sample in looks:
        decision = consumers.decide(sample, current, policy, history, now)
        check(decision, current, policy.bounds, policy.pause)
        if decision.replicas != current:
            assert decision.replicas <= policy.bounds.maximum
        if isinstance(sample, GroupSample) and decision.replicas > max(current, policy.bounds.minimum):
            assert decision.replicas <= len(sample.partitions)
        history, current = decision.history, decision.replicas


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=20), st.data())
def test_more_sockets_never_ask_for_fewer_gateways(connections: list[int], data: st.DataObject) -> None:
    policy = gateways.GatewayPolicy(Bounds(1, 1000), target=3000, limit=5000)
    more = [c + data.draw(st.integers(0, 5000)) for c in connections]
    wanted = [
        gateways.decide(
            tuple(GatewaySample(f"gateway-{i}", ready=True, taken=0, connections=c) for i, c in enumerate(held)),
            len(held),
            policy,
            gateways.GatewayHistory(),
            0,
        ).wanted
        for held in (connections, more)
    ]
    assert wanted[0] is not None
    assert wanted[1] is not None
    assert wanted[0] <= wanted[1]


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**5), st.integers(1, 64), st.floats(1, 5000))
def test_more_lag_or_more_arrivals_never_ask_for_fewer_consumers(
    waiting: int, more: int, arriving: int, partitions: int, rate: float
) -> None:
    policy = consumers.ConsumerPolicy(Bounds(1, 1000), drain=30)
    history = replace(ConsumerHistory(), rate=rate, learnt=True)

    def sample(now: float, end: int, read: int) -> GroupSample:
        return GroupSample(now, "Stable", 2, tuple(PartitionSample("t", p, end, read) for p in range(partitions)))

    def wanted(lag: int, produced: int) -> int:
        first = consumers.decide(sample(0, lag, 0), 2, policy, history, 0)
        decision = consumers.decide(sample(5, lag + produced, produced), 2, policy, first.history, 5)
        assert decision.wanted is not None
        return decision.wanted

    assert wanted(waiting, arriving) <= wanted(waiting + more, arriving)
    assert wanted(waiting, arriving) <= wanted(waiting, arriving + more)


@settings(max_examples=20)
@given(st.integers(3, 19), st.lists(st.floats(0.95, 1.0), min_size=130, max_size=130))
def test_noise_within_the_tolerance_never_makes_gateways_flap(count: int, noise: list[float]) -> None:
    policy = gateways.GatewayPolicy(Bounds(2, 50), target=3000, limit=5000)
    history, current, now = gateways.GatewayHistory(), count, 0.0
    for factor in noise:
        total = int(3000 * (count - 0.2) * factor)
        pods = tuple(
            GatewaySample(f"gateway-{i}", ready=True, taken=now, connections=total // current) for i in range(current)
        )
        decision = gateways.decide(pods, current, policy, history, now)
        history, now = decision.history, now + 5
        assert current <= decision.replicas <= math.ceil((count - 0.2) * (1 + 0.025 / 5 * gateways.STARTUP))
        current = decision.replicas
