"""The operator may do in Kubernetes what it does, and nothing else: its rights against the API servers' audit logs.

Runs after the other tests, over the logs of every stand they ran on.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.support import ROOT

RIGHTS = ROOT / "manifests" / "admin-rights" / "kubernetes.yaml"
UNSEEN = frozenset({"bind"})
"""Verbs that are asked about while a request is judged, and are in no audit log."""
RARE = {
    ("matrixhub.io", "tenants", "get"): "whether what the watch does not show still exists",
    ("matrixhub.io", "realtimeclusters", "get"): "likewise",
}
"""Rights that not every run of the tests meets, and what for."""
CREATED, FORBIDDEN = 201, 403
CONFINEMENTS = ("matrixhub-operator", "matrixhub")
"""Of the operator outside the cluster, and of the chart's."""


class Right(NamedTuple):
    """One verb on one kind of object; a subresource stands behind a slash."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group}"


def logs() -> list[Path]:
    """The audit logs of all lanes' stands."""
    state = Path(os.environ.get("MATRIXHUB_STAND", ROOT / ".stand"))
    return sorted(state.parent.glob(f"{state.name}*/kube-apiserver/audit.log"))


def entries() -> Iterator[dict[str, Any]]:
    """What the operator asked of all API servers, and what they answered."""
    for log in logs():
        with log.open() as lines:
            yield from map(json.loads, lines)


def used() -> set[Right]:
    """What the operator did."""
    return {right for entry in entries() for right in _rights_of(entry)}


def refused(entry: dict[str, Any]) -> str:
    """What the operator asked for and its roles or its confinement did not let it; empty for anything else.

    The leader's fence, quotas and namespaces on their way out may refuse it at any time.
    """
    answer, target = entry.get("responseStatus", {}), entry.get("objectRef", {})
    by_roles = entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
    confined = any(f"ValidatingAdmissionPolicy '{name}'" in answer.get("message", "") for name in CONFINEMENTS)
    if answer.get("code") != FORBIDDEN or not (by_roles or confined):
        return ""
    what = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
    return f"{entry['verb']} {what} {target.get('namespace', '')}/{target.get('name', '')}: {answer.get('message')}"


def _rights_of(entry: dict[str, Any]) -> Iterator[Right]:
    target, code = entry.get("objectRef"), entry.get("responseStatus", {}).get("code", 0)
    if target is None or code == FORBIDDEN:
        return
    resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
    yield Right(target.get("apiGroup", ""), resource, entry["verb"])
    if code == CREATED and entry["verb"] == "patch":
        yield Right(target.get("apiGroup", ""), resource, "create")  # applying what is not there takes both rights


def granted() -> set[Right]:
    """What the operator's roles let it do."""
    roles = [doc for doc in yaml.safe_load_all(RIGHTS.read_text()) if doc["kind"] in ("ClusterRole", "Role")]
    return {
        Right(group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture(scope="module")
def did() -> set[Right]:
    assert logs(), "no stand has kept an audit log"
    return used()


def test_every_right_is_used(did: set[Right]) -> None:
    sys.stdout.write("\n".join(sorted(map(str, did))))
    superfluous = {right for right in granted() - did - RARE.keys() if right.verb not in UNSEEN}
    assert not superfluous, f"granted and never used: {', '.join(sorted(map(str, superfluous)))}"


def test_nothing_was_refused_that_the_operator_asked_for(did: set[Right]) -> None:
    assert did, "the operator asked for nothing"
    assert not list(filter(None, map(refused, entries())))


def test_nothing_is_granted_with_a_wildcard() -> None:
    assert not [right for right in granted() if "*" in "".join(right)]
