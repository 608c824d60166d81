"""Field types shared by the resources: what a person writes, and the plain value the operator computes with."""

import re
from datetime import timedelta
from typing import Annotated, Any

from kubernetes.utils.quantity import parse_quantity
from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION_PATTERN = r"^([0-9]+(ms|s|m|h))+$"


def parse_bytes(text: str | int) -> int:
    """The whole number that a Kubernetes quantity stands for: `256Mi` is 268435456."""
    return int(parse_quantity(str(text)))


def parse_duration(text: str | timedelta) -> timedelta:
    """The time that a duration of the form `5s`, `168h`, `1h30m` stands for. Raises ValueError for another form."""
    if isinstance(text, timedelta):
        return text
    if not re.match(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration: write a number and a unit (ms, s, m, h), such as 5s or 168h")
    return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]+)(ms|s|m|h)", text)))


QUANTITY_SCHEMA: dict[str, Any] = {
    "x-kubernetes-int-or-string": True,
    "x-kubernetes-validations": [
        {
            "rule": "type(self) == int ? self >= 0 : isQuantity(self) && quantity(self).sign() >= 0",
            "message": "must be a quantity that is not negative, such as 256Mi, 10Gi or 1000000",
        }
    ],
    "maxLength": 32,
}
DURATION_SCHEMA: dict[str, Any] = {
    "type": "string",
    "pattern": DURATION_PATTERN,
    "maxLength": 32,
    "description": "a number and a unit (ms, s, m, h), such as 5s or 168h",
}

Bytes = Annotated[int, BeforeValidator(parse_bytes), WithJsonSchema(QUANTITY_SCHEMA)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), WithJsonSchema(DURATION_SCHEMA)]


class Model(BaseModel):
    """Base of every part of a resource: camelCase in YAML, snake_case here, frozen, unknown fields ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class Metadata(Model):
    """What the operator reads of a resource's metadata."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
