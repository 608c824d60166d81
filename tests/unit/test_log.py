"""A line of the log, for people and for machines."""

import json
import logging

from matrixhub.log import Json, Text

RECORD = logging.makeLogRecord(
    {
        "name": "matrixhub.audit",
        "levelname": "INFO",
        "msg": "%s",
        "args": ("Tenant green was changed: spec.suspended",),
        "created": 1769860800.25,
        "msecs": 250.0,
        "tenant": "green",
        "manager": "argocd",
        "generation": 2,
        "changes": [{"field": "spec.suspended", "from": False, "to": True}],
    }
)


def test_machines_read_an_object():
    assert json.loads(Json().format(RECORD)) == {
        "time": "2026-01-31T12:00:00.250+00:00",
        "level": "INFO",
        "logger": "matrixhub.audit",
        "message": "Tenant green was changed: spec.suspended",
        "tenant": "green",
        "manager": "argocd",
        "generation": 2,
        "changes": [{"field": "spec.suspended", "from": False, "to": True}],
    }


def test_people_read_a_line_with_what_changed_in_it():
    assert Text().format(RECORD) == (
        "2026-01-31T12:00:00.250Z INFO Tenant green was changed: spec.suspended "
        "tenant=green manager=argocd generation=2 changes=spec.suspended:false->true"
    )


def test_a_line_is_one_line_whatever_it_says():
    record = logging.makeLogRecord({"msg": "two\nlines", "levelname": "INFO", "reason": "a\nb"})
    assert len(Text().format(record).splitlines()) == 1


def test_a_line_of_kopfs_says_nothing_of_its_configuration():
    record = logging.makeLogRecord(
        {"msg": "Failed", "levelname": "ERROR", "created": 0.0, "settings": object(), "k8s_ref": {}, "k8s_skip": False}
    )
    assert json.loads(Json().format(record)).keys() == {"time", "level", "logger", "message"}
    assert Text().format(record).endswith("ERROR Failed")
