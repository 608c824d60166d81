"""What a relay counts, by Prometheus conventions. Cardinality is bounded: no label holds a tenant."""

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

from matrixhub import __version__
from matrixhub.relay.events import REASONS

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)

# Of no use but to say when a counter began, at the price of a series for each.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own

BUILD = Info("matrixhub_relay_build", "The version that runs.")
BUILD.info({"version": __version__})
RELAYED = Counter("matrixhub_relay_events_total", "Records accepted by the gateways as events.")
DEAD_LETTERS = Counter("matrixhub_relay_dead_letters_total", "Records written to dead-letter topics.", ["reason"])
for _reason in REASONS:
    DEAD_LETTERS.labels(_reason)  # from 0 on: an increase is seen only of what was there before
RETRIES = Counter("matrixhub_relay_retries_total", "Steps that did not succeed and are tried again.", ["verdict"])
PUBLISH_SECONDS = Histogram(
    "matrixhub_relay_publish_duration_seconds", "Time of one publish request, answered or not.", buckets=SECONDS
)
LAG_SECONDS = Histogram(
    "matrixhub_relay_lag_seconds", "Age of each record when the gateways accepted it.", buckets=SECONDS
)
IN_FLIGHT = Gauge("matrixhub_relay_in_flight", "Requests under way.")
BUFFERED = Gauge("matrixhub_relay_buffered_bytes", "Bytes of records that were fetched and are not settled.")
PARTITIONS = Gauge("matrixhub_relay_partitions", "Partitions that this relay is assigned.")
WAITING = Gauge("matrixhub_relay_waiting_tenants", "Tenants over a limit, in trouble, or without an app at present.")
