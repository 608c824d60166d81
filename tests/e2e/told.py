"""What the operator tells beside the resources: lines of its log, audit records, metrics."""

import json
import urllib.request
import warnings
from typing import Any

from tests.e2e.hub import SETTINGS, Hub

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # importlib.resources.read_text, in kafka-python 3.0
    from kafka import KafkaConsumer, TopicPartition

TOPIC = SETTINGS["MATRIXHUB_AUDIT_TOPIC"]
QUIET_MS = 1000


def lines(hub: Hub, **about: object) -> list[dict[str, Any]]:
    """The lines of the operator's log that say this."""
    said = [json.loads(line) for line in hub.operator.log.read_text().splitlines() if line.startswith("{")]
    return [each for each in said if about.items() <= each.items()]


def administrator(hub: Hub) -> dict[str, Any]:
    """What a client of Kafka's is told to be Kafka's own administrator."""
    return {
        "bootstrap_servers": hub.env["KAFKA_BOOTSTRAP"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": hub.env["KAFKA_ROOT_USER"],
        "sasl_plain_password": hub.env["KAFKA_ROOT_PASSWORD"],
    }


def records(hub: Hub) -> list[tuple[str, dict[str, Any]]]:
    """Every audit record on the topic, with its key."""
    reader = KafkaConsumer(**administrator(hub), consumer_timeout_ms=QUIET_MS)
    reader.assign([TopicPartition(TOPIC, 0)])
    reader.seek_to_beginning()
    try:
        return [(each.key.decode(), json.loads(each.value)) for each in reader]
    finally:
        reader.close()


def page(address: str) -> str:
    """The text of a page of metrics."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def operators_page() -> str:
    """The operator's."""
    return page(f"127.0.0.1:{SETTINGS['MATRIXHUB_METRICS_PORT']}")


def value(text: str, metric: str, **labels: str) -> float:
    """The sum of the metric's series that have these labels."""
    wanted = [f'{name}="{said}"' for name, said in labels.items()]
    found = [line for line in text.splitlines() if line.startswith((f"{metric}{{", f"{metric} "))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found if all(each in line for each in wanted))


def families(text: str) -> set[str]:
    """The metrics that there are, a histogram's buckets, sum and count among them, with series or without."""
    found = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return found
