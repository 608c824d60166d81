"""The plain manifests, rendered from the chart, say the same as the rights of an operator outside the cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"


def found(name: str, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((MANIFESTS / name).read_text(encoding="utf-8"))
    (only,) = [each for each in documents if each["kind"] == kind]
    return dict(only)


@pytest.mark.parametrize("kind", ["ClusterRole", "Role"])
def test_the_rules_are_the_same(kind: str) -> None:
    assert found("install.yaml", kind)["rules"] == found("admin-rights/kubernetes.yaml", kind)["rules"]
