"""What the CRDs look like. That a real API server takes them, and what it refuses: tests/apiserver/test_crds.py."""

from typing import Any

import pytest
from tests.support import ROOT, parts

import crds
from matrixhub.api import crd


def schema_of(kind: crd.Kind) -> dict[str, Any]:
    version: dict[str, Any] = crd.definition(kind)["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


EVERY = [(f"{kind.name}: {path}", path, part) for kind in crd.KINDS for path, part in parts(schema_of(kind))]
STRUCTURAL = {
    *("type", "description", "default", "format", "enum", "required", "properties", "items", "additionalProperties"),
    *("minLength", "maxLength", "minItems", "maxItems", "maxProperties", "minimum", "maximum"),
    *("x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations"),
    "x-kubernetes-preserve-unknown-fields",
}
"""Not `pattern`: a CEL rule says what to write instead."""


@pytest.mark.parametrize("path", crds.files())
def test_the_checked_in_file_is_what_the_models_say(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == crds.files()[path]


def test_each_part_is_structural() -> None:
    for name, _, part in EVERY:
        assert part.keys() <= STRUCTURAL, name
        assert ("type" in part) != ("x-kubernetes-int-or-string" in part), name
        assert not {"properties", "additionalProperties"} <= part.keys(), name


def test_each_field_is_described_with_its_default() -> None:
    for name, path, part in EVERY:
        if path in {"", "status"} or path.startswith("metadata") or path.endswith("[]"):
            continue
        assert part["description"].endswith("."), name
        assert "\n" not in part["description"], name
        assert (part.get("default") in (None, {})) == ("Default: " not in part["description"]), name


def test_each_list_says_how_it_merges() -> None:
    for name, _, part in EVERY:
        if part.get("type") == "array":
            assert part["x-kubernetes-list-type"] in {"atomic", "set", "map"}, name
            assert ("x-kubernetes-list-map-keys" in part) == (part["x-kubernetes-list-type"] == "map"), name


def test_each_value_that_a_person_writes_is_bounded() -> None:
    bounds = {"string": {"maxLength"}, "array": {"maxItems"}, "integer": {"minimum", "maximum"}}
    for name, path, part in EVERY:
        if path.startswith("spec") and "enum" not in part:
            assert bounds.get(part.get("type", ""), set()) <= part.keys(), name


def test_each_rule_answers_with_a_sentence() -> None:
    for name, _, part in EVERY:
        for rule in part.get("x-kubernetes-validations", []):
            assert len(rule["message"].split()) > 4, name
            assert "\n" not in rule["rule"] + rule["message"], name


def test_a_status_that_was_written_holds_nothing_by_default() -> None:
    for kind in crd.KINDS:
        assert not [path for path, part in parts(schema_of(kind)) if path.startswith("status.") and "default" in part]


def test_a_part_with_defaults_inside_is_filled_in_when_it_is_left_out() -> None:
    spec = schema_of(crd.TENANT)["properties"]["spec"]["properties"]
    assert spec["postgres"]["default"] == {}
    assert spec["postgres"]["properties"]["statementTimeout"]["default"] == "5s"
    assert "default" not in spec["clusterRef"]
    assert "default" not in schema_of(crd.REALTIMECLUSTER)["properties"]["spec"]["properties"]["postgres"]
