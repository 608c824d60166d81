from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils import quantity
from pydantic import ValidationError

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.api.values import address, bracketed, describe, parse_bytes, parse_duration, parse_quantity

SUFFIXES = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "n", "u", "m", "k", "M", "G", "T", "P", "E"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("256Mi", "268435456"),
        ("1.5Gi", "1610612736"),
        ("1Ei", "1152921504606846976"),
        ("2E", "2000000000000000000"),
        ("12e6", "12000000"),
        ("12E+6", "12000000"),
        ("5e-1", "0.5"),
        ("100m", "0.1"),
        ("1u", "0.000001"),
        ("+1k", "1000"),
        ("-1Ki", "-1024"),
        (".5", "0.5"),
        ("5.", "5"),
        (7, "7"),
        (1e20, "100000000000000000000"),
    ],
)
def test_a_quantity_is_the_number_that_kubernetes_reads(text: str | float, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    ["", ".", "1K", "1ki", "1i", "1Mib", "Mi", "1 Mi", "1_000", "NaN", "Infinity", "1e", "0x1", "٣", "1Mi\n"],
)
def test_what_is_no_quantity_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity: write a number"):
        parse_quantity(text)


@given(number=st.decimals(-(10**6), 10**6, places=3), suffix=st.sampled_from(SUFFIXES))
def test_quantities_are_read_as_by_the_kubernetes_client(number: Decimal, suffix: str) -> None:
    assert parse_quantity(f"{number}{suffix}") == quantity.parse_quantity(f"{number}{suffix}")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("redis:7000", "redis", 7000), ("10.0.0.1:65535", "10.0.0.1", 65535), ("[fd00::1]:7000", "fd00::1", 7000)],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert address(text) == (host, port)
    assert f"{bracketed(host)}:{port}" == text


@pytest.mark.parametrize(
    "text", ["", "redis", "redis:", ":7000", "redis:port", "redis:65536", "fd00::1", "[fd00::1:70"]
)
def test_what_is_no_address_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address: write host:port"):
        address(text)


def test_bytes_are_whole() -> None:
    assert parse_bytes("1.5Gi") == 1610612736
    assert isinstance(parse_bytes("100m"), int)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("5s", timedelta(seconds=5)),
        ("168h", timedelta(days=7)),
        ("1h30m", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("1h2m3s4ms", timedelta(hours=1, minutes=2, seconds=3, milliseconds=4)),
        (timedelta(seconds=1), timedelta(seconds=1)),
    ],
)
def test_a_duration_is_the_time_it_says(text: str | timedelta, time: timedelta) -> None:
    assert parse_duration(text) == time


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "1.5h", "7d", "30m1h", "5s ", "5s\n", "1234567h"])
def test_what_is_no_duration_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write a number and a unit"):
        parse_duration(text)


def tenant(**spec: object) -> dict[str, object]:
    return {
        "metadata": {"name": "greenwood", "managedFields": [{}], "labels": {}},
        "spec": {"clusterRef": {"namespace": "matrixhub", "name": "main"}, **spec},
    }


def test_a_tenant_without_wishes_gets_the_defaults() -> None:
    spec = Tenant.model_validate(tenant()).spec
    assert spec.postgres.statement_timeout == timedelta(seconds=5)
    assert spec.postgres.connection_limit == 20
    assert spec.redis.memory is None
    assert spec.deletion_policy == "Retain"
    assert spec.object_store.versioning
    assert spec.kafka.topics == ()


def test_a_tenant_of_a_later_version_is_read_without_what_it_adds() -> None:
    read = Tenant.model_validate(tenant(search={"shards": 3}, redis={"memory": "1Mi", "keys": 5}))
    assert read.spec.redis.memory == 1048576
    assert not hasattr(read.spec, "search")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            tenant(kafka={"topics": [{"domain": "exams", "events": ["started"], "retention": "7d"}]}),
            "spec.kafka.topics[0].retention: '7d' is not a duration: write a number and a unit",
        ),
        (tenant(redis={"memory": "lots"}), "spec.redis.memory: 'lots' is not a quantity: write a number"),
        (
            tenant(postgres={"connectionLimit": 0}),
            "spec.postgres.connectionLimit: input should be greater than",
        ),
        ({"metadata": {"name": "greenwood"}, "spec": {}}, "spec.clusterRef: is required: write it"),
        ({"metadata": {"name": "greenwood"}, "spec": 3}, "spec: input should be a valid dictionary"),
    ],
)
def test_what_does_not_parse_is_told_with_its_place(body: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Tenant.model_validate(body)
    assert describe(caught.value).startswith(sentence)


def test_all_that_does_not_parse_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        RealtimeCluster.model_validate(
            {"metadata": {"name": "main"}, "spec": {"redis": {}, "kafka": {"bootstrapServers": []}}}
        )
    told = describe(caught.value)
    assert "spec.redis.nodes: is required: write it; spec.redis.adminSecretRef: is required: write it" in told
    assert "spec.kafka.bootstrapServers: tuple should have at least 1 item" in told


def test_what_the_api_server_takes_for_a_whole_number_is_one() -> None:
    """It compares with a tolerance."""
    read = Tenant.model_validate(tenant(gateway={"maxConnections": 1.0000000000000002}))
    assert read.spec.gateway.max_connections == 1
