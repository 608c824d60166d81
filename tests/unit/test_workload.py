"""Whether an object already says what is wanted of it."""

import pytest

from matrixhub.kube.workload import says

FOUND = {"spec": {"ports": [{"name": "a", "port": 1, "nodePort": 30000}], "type": "NodePort"}, "status": {"ready": 1}}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"spec": {"type": "NodePort"}}, True),
        ({"spec": {"ports": [{"name": "a", "port": 1}]}}, True),
        ({"spec": {"ports": [{"name": "a", "port": 2}]}}, False),
        ({"spec": {"ports": []}}, False),
        ({"spec": {"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}}, False),
        ({"spec": {"selector": {}}}, False),
        ({"spec": "NodePort"}, False),
        ({}, True),
    ],
)
def test_what_else_an_object_says_does_not_count(wanted: object, *, expected: bool) -> None:
    assert says(FOUND, wanted) is expected
