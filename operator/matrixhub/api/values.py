"""Field types shared by the resources: what a person writes, and the plain value the operator computes with.

Reading is lenient and writing strict: the rules stand in the CRD, where `kubectl apply` refuses with a
sentence. Here an object is only parsed, and everything that the API server admits must parse.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

DURATION_PATTERN = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$"
"""Six digits at most, so that any sum fits the 64-bit nanoseconds that CEL computes with."""

_ADDRESS, _LAST_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+)):([0-9]{1,5})"), 65535
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE])i|([numkMGTPE])|[eE]([+-]?\d{1,4}))?", re.ASCII)
_POWERS = {"n": -3, "u": -2, "m": -1, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def parse_quantity(text: str | float) -> Decimal:
    """The number that a Kubernetes quantity stands for: `1Ki` is 1024, `100m` is 0.1.

    Raises ValueError for another form. Grammar: k8s.io/apimachinery, pkg/api/resource/quantity.go.
    """
    match = _QUANTITY.fullmatch(str(text))
    if not match:
        raise ValueError(f"{str(text)!r} is not a quantity: write a number with or without a unit, such as 256Mi")
    number, binary, decimal, exponent = match.groups()
    if binary:
        return Decimal(number) * Decimal(1024) ** _POWERS[binary]
    return Decimal(number).scaleb(3 * _POWERS[decimal] if decimal else int(exponent or 0))


def parse_bytes(text: str | float) -> int:
    """The whole number that a Kubernetes quantity stands for: `256Mi` is 268435456."""
    return int(parse_quantity(text))


def parse_duration(text: str | timedelta) -> timedelta:
    """The time that a duration such as `5s` or `1h30m` stands for. Raises ValueError for another form."""
    if isinstance(text, timedelta):
        return text
    if not (text and re.fullmatch(DURATION_PATTERN, text)):
        raise ValueError(f"{text!r} is not a duration: write a number and a unit (h, m, s, ms), such as 5s or 1h30m")
    return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]+)(ms|s|m|h)", text)))


def timestamp(moment: datetime) -> str:
    """The moment, in UTC, as the API server writes it: whole seconds."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def address(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`. Raises ValueError for another form."""
    match = _ADDRESS.fullmatch(text)
    if not match or int(match[3]) > _LAST_PORT:
        raise ValueError(f"{text!r} is not an address: write host:port")
    return match[1] or match[2], int(match[3])


def bracketed(host: str) -> str:
    """The host as it stands before a `:port`: an IPv6 address is in brackets there."""
    return f"[{host}]" if ":" in host else host


RULES = "x-kubernetes-validations"
"""Where a schema holds its CEL rules."""


@dataclass(frozen=True)
class Rule:
    """Marks a field, or (through `rules`) a model, with a CEL rule of its CRD.

    `message` is what `kubectl apply` prints when `rule` is false: a sentence that says what to write instead.
    """

    rule: str
    message: str

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The field's schema with this rule added."""
        schema = handler(core)
        return schema | {RULES: [*schema.get(RULES, ()), vars(self)]}


def rules(*of: Rule) -> JsonDict:
    """The `json_schema_extra` of a model on which these rules stand."""
    return {RULES: [{"rule": each.rule, "message": each.message} for each in of]}


@dataclass(frozen=True)
class ListType:
    """Marks a list with how the API server merges it: `set`, or `map` by `keys`. Without it: `atomic`."""

    kind: str
    keys: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The list's schema with its type added."""
        keys = {"x-kubernetes-list-map-keys": list(self.keys)} if self.keys else {}
        return handler(core) | {"x-kubernetes-list-type": self.kind} | keys


SET = ListType("set")

_INT_OR_STRING: dict[str, Any] = {"x-kubernetes-int-or-string": True, "maxLength": 32}

Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    WithJsonSchema(_INT_OR_STRING),
    Rule(
        "isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('1')) >= 0"
        " && quantity(string(self)).compareTo(quantity('1Ei')) <= 0",
        "must be a quantity from 1 to 1Ei, such as 256Mi, 10Gi or 1000000; leave the field out for no limit",
    ),
]
Quantity = Annotated[
    str | int,
    WithJsonSchema(_INT_OR_STRING),
    Rule(
        "isQuantity(string(self)) && sign(quantity(string(self))) >= 0",
        'must be a quantity that is not negative, such as "4", 500m or 8Gi',
    ),
]
_DURATION = f"size(self) > 0 && self.matches('{DURATION_PATTERN}') && duration(self) > duration('0s')"
_DURATION_SAYS = (
    "must be a duration above 0{} with its units from large to small (h, m, s, ms), such as 5s, 168h or 1h30m"
)

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "maxLength": 32}),
    Rule(_DURATION, _DURATION_SAYS.format("")),
]
PostgresTimeout = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "maxLength": 32}),
    Rule(
        f"{_DURATION} && duration(self) <= duration('596h')",
        _DURATION_SAYS.format(" and at most 596h (the longest that Postgres can time)"),
    ),
]


ROUNDED = BeforeValidator(lambda number: round(number) if isinstance(number, float) else number)
"""The API server admits 1.0000000000000002 as a whole number, so it is one here too."""
Whole = Annotated[int, ROUNDED]


class Model(BaseModel):
    """Base of each part of a resource: camelCase in YAML, snake_case here, frozen, unknown fields ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(
        f"self.matches('^{_LABEL}([.]{_LABEL})*$')",
        "must be the name alone of an object in the same namespace, such as redis-admin: "
        "lower-case letters and digits, with - and . between them",
    ),
]
LabelName = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Rule(
        f"self.matches('^{_LABEL}$')",
        "must be a name of lower-case letters, digits and hyphens between them, such as main",
    ),
]
SqlName = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Rule(
        r"self.matches('^[\\p{L}_][\\p{L}\\p{N}_$-]*$')",
        "must be a name that begins with a letter or _ and goes on with letters, digits, _, $ or -, such as tenant_id",
    ),
]
"""Always quoted in SQL; in addresses and in lists of names, other characters would mean something."""


class SecretRef(Model):
    """A Secret in the RealtimeCluster's namespace."""

    name: ObjectName
    """Name of the Secret. When changed: the operator connects anew with what that Secret holds."""


class Metadata(Model):
    """What the operator reads of a resource's metadata."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    annotations: dict[str, str] = {}


def describe(error: ValidationError) -> str:
    """What is wrong with a resource that did not parse, in words: `spec.kafka.topics[0].domain: ...`."""
    return "; ".join(f"{_path(each['loc'])}: {_sentence(each['type'], each['msg'])}" for each in error.errors())


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".") or "the resource"


def _sentence(kind: str, message: str) -> str:
    if kind == "missing":
        return "is required: write it"
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
