"""Audit records wait in a queue of bounded length; whoever puts one never waits. The rest is tested on a real Kafka."""

import threading
import time
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from tests.support import NOWHERE, cluster

from matrixhub.backends.kafka import trail
from matrixhub.backends.kafka.produce import partition
from matrixhub.backends.kafka.trail import LARGEST, Writer
from matrixhub.errors import Rejected

STAND = NOWHERE | {"KAFKA_BOOTSTRAP": "127.0.0.1:1"}


class Held:
    """Admin credentials that are missing, and asked for again and again."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def __call__(self) -> Mapping[str, str]:
        self.asked.set()
        raise Rejected("SecretNotFound", "Secret hub/kafka-admin does not exist: create it")


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """Three records may wait, beside those that are on their way."""
    monkeypatch.setattr(trail, "WAITING", 3)
    admin = Held()
    made = Writer("matrixhub.audit.changes", cluster(STAND), admin)
    made.put({"message": "on its way"})
    assert admin.asked.wait(5)
    yield made
    made.close()


def dropped() -> float:
    return REGISTRY.get_sample_value("matrixhub_audit_records_dropped_total", {"cluster": "matrixhub/main"}) or 0.0


def test_what_is_too_much_is_dropped_and_counted_and_nobody_waits(writer: Writer):
    before, began = dropped(), time.monotonic()
    for number in range(8):
        writer.put({"message": str(number)})
    assert dropped() - before == 5
    assert time.monotonic() - began < 1


def test_a_record_that_no_broker_would_take_is_dropped(writer: Writer):
    before = dropped()
    writer.put({"message": "x" * LARGEST})
    assert dropped() - before == 1


@given(st.binary(min_size=1), st.integers(1, 50))
def test_a_key_has_one_partition(key: bytes, partitions: int):
    assert 0 <= partition(key, partitions) < partitions


def test_keys_go_where_kafkas_own_clients_put_them():
    # murmur2("21") is -973932308 in the UtilsTest of Kafka's own clients.
    assert partition(b"21", 10) == (-973932308 & 0x7FFFFFFF) % 10
