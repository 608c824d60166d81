"""Every reason of a dead letter is a series from the start, or its first one would raise no alert."""

import inspect
import re

from matrixhub.relay import events, lane, metrics
from matrixhub.relay.events import REASONS


def test_every_reason_that_a_record_is_buried_for_is_counted_from_zero():
    told = re.findall(r'Poison\(\s*"(\w+)"', inspect.getsource(events) + inspect.getsource(lane))
    assert set(told) == set(REASONS)
    shown = {sample.labels["reason"] for family in metrics.DEAD_LETTERS.collect() for sample in family.samples}
    assert shown >= set(REASONS)
