"""Logs: one line per change, as text for people or JSON for machines."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_KOPFS = {"settings", "k8s_ref", "k8s_skip"}
"""What Kopf hands to its own formatters: all of its configuration, and the object at length."""


def _extras(record: logging.LogRecord) -> dict[str, object]:
    """What the line is about."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD | _KOPFS}


def _shown(name: str, value: Any) -> object:
    """The value for people: changes as `spec.suspended:false->true`, anything else as it is."""
    if name != "changes":
        return value
    return ",".join(f"{each['field']}:{json.dumps(each['from'])}->{json.dumps(each['to'])}" for each in value)


class Text(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO Created role tenant_greenwood tenant=greenwood backend=postgres`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, a stack below it."""
        moment = datetime.fromtimestamp(record.created, UTC)
        extras = "".join(f" {name}={_shown(name, value)}" for name, value in _extras(record).items())
        line = f"{moment:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z {record.levelname} {record.getMessage()}{extras}"
        line = line.replace("\n", "\\n")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Json(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and what the line is about."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one JSON object."""
        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            said["stack"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


def configure(style: str, level: str) -> None:
    """Everything is logged to standard error; libraries only when something is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if style == "json" else Text())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("matrixhub").setLevel(level)
