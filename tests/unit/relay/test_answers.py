"""What the gateway's answers mean, and how long is waited."""

import pytest

from matrixhub.relay.answers import Backoff, Verdict, read


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DONE),
        (202, Verdict.DONE),
        (302, Verdict.TROUBLE),
        (400, Verdict.REFUSED),
        (401, Verdict.CLOSED),
        (403, Verdict.CLOSED),
        (404, Verdict.CLOSED),
        (408, Verdict.TROUBLE),
        (413, Verdict.REFUSED),
        (429, Verdict.LIMITED),
        (499, Verdict.REFUSED),
        (500, Verdict.TROUBLE),
        (503, Verdict.TROUBLE),
    ],
)
def test_a_status_says_whether_the_records_the_tenant_or_the_moment_is_at_fault(status, verdict):
    answer = read(status, "why")
    assert answer.verdict is verdict
    assert verdict is Verdict.DONE or answer.message == f"the gateway answered {status}: why"


@pytest.mark.parametrize(("header", "seconds"), [("", None), ("12", 12.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
def test_how_long_the_gateway_asks_to_wait(header, seconds):
    assert read(429, "", header).retry_after == seconds


def test_each_wait_is_twice_the_last_within_bounds_and_as_long_as_asked_for():
    backoff = Backoff(0.5, 3.0)
    assert [backoff.seconds(failures) for failures in (1, 2, 3, 4, 5000)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert backoff.seconds(1, at_least=2.5) == 2.5
    assert backoff.seconds(1, at_least=3600.0) == 3.0
