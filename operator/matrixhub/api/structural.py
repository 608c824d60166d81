"""From a model to a structural schema, as the API server takes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel

from matrixhub.api.values import RULES

Schema = dict[str, Any]
"""As JSON."""

_DROPPED = {"title", "$defs", "default", "additionalProperties"}
_FIRST = ("type", "x-kubernetes-int-or-string", "description", "default", "format", "enum", "required")
_LAST = ("x-kubernetes-list-type", "x-kubernetes-list-map-keys", RULES, "items", "properties")


def structural(model: type[BaseModel], *, defaults: bool) -> Schema:
    """The model's structural schema: nothing by reference, no null, each list with its type.

    With `defaults`, the API server fills in each default; a status goes without: it holds what was written.
    """
    schema = model.model_json_schema()
    return _Structural(schema.get("$defs", {}), defaults).of(schema)


@dataclass(frozen=True)
class _Structural:
    """Makes Pydantic's JSON schemas structural; `definitions` are what they refer to."""

    definitions: Mapping[str, Schema]
    defaults: bool

    def of(self, schema: Schema) -> Schema:
        """`schema` made structural."""
        schema = self._resolved(schema)
        kept = {key: value for key, value in schema.items() if key not in _DROPPED}
        if "description" in kept:
            kept["description"] = " ".join(kept["description"].split())
        if "properties" in schema:
            kept["properties"] = {name: self._field(value) for name, value in schema["properties"].items()}
        elif isinstance(schema.get("additionalProperties"), dict):
            kept["additionalProperties"] = self.of(schema["additionalProperties"])
        if "items" in schema:
            kept["items"] = self.of(schema["items"])
            kept.setdefault("x-kubernetes-list-type", "atomic")
        return ordered(kept)

    def _field(self, schema: Schema) -> Schema:
        """A field of a model: structural, and with its default, which the description says too.

        A part whose every field may be left out has the default `{}`, which its fields' defaults then fill.
        """
        made = self.of(schema)
        default = schema.get("default")
        if not self.defaults or default in (None, "", [], {}):
            return made
        if "properties" in made:
            return ordered(made | {"default": {}})
        description = f"{made['description']} Default: {literal(default)}."
        return ordered(made | {"description": description, "default": default})

    def _resolved(self, schema: Schema) -> Schema:
        """`schema` without reference and an optional field's null; what stands beside them is added."""
        beside = {key: value for key, value in schema.items() if key not in {"$ref", "anyOf"}}
        if "$ref" in schema:
            target = self._resolved(self.definitions[schema["$ref"].rsplit("/", 1)[1]])
        elif "anyOf" in schema:
            (only,) = (each for each in schema["anyOf"] if each.get("type") != "null")
            target = self._resolved(only)
        else:
            return schema
        both = [*target.get(RULES, ()), *beside.get(RULES, ())]
        return target | beside | ({RULES: both} if both else {})


def ordered(schema: Schema) -> Schema:
    """`schema` with what a reader wants first in front, and the parts at the end."""
    middle = sorted(schema.keys() - {*_FIRST, *_LAST})
    return {key: schema[key] for key in (*_FIRST, *middle, *_LAST) if key in schema}


def literal(default: object) -> str:
    """The value on one line, as a person writes it in YAML."""
    return yaml.safe_dump(default, default_flow_style=True).removesuffix("...\n").strip()
