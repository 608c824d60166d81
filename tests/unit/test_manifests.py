"""The plain manifests, rendered from the chart, say the same as the rights of an operator outside the cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
USER = "matrixhub-operator"
ACCOUNT = "system:serviceaccount:matrixhub-system:matrixhub"


def found(name: str, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((MANIFESTS / name).read_text(encoding="utf-8"))
    confined = [each for each in documents if each["kind"] == kind and "leader" not in each["metadata"]["name"]]
    (only,) = confined
    return dict(only)


@pytest.mark.parametrize("kind", ["ClusterRole", "Role"])
def test_the_rules_are_the_same(kind: str) -> None:
    assert found("install.yaml", kind)["rules"] == found("admin-rights/kubernetes.yaml", kind)["rules"]


def test_the_fence_is_the_same_but_for_whom_it_is() -> None:
    inside, outside = (
        found(name, "ValidatingAdmissionPolicy")["spec"] for name in ("install.yaml", "admin-rights/kubernetes.yaml")
    )
    for spec, name in ((inside, ACCOUNT), (outside, USER)):
        (condition,) = spec.pop("matchConditions")
        assert condition["expression"] == f"request.userInfo.username == '{name}'"
    assert inside == outside
