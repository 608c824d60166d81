"""Every PromQL expression of the alerts and the dashboards, and the metrics that they are made of."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

FILES = Path(__file__).resolve().parents[2] / "helm" / "matrixhub" / "files"
OURS = re.compile(r"\b(?:matrixhub|sockudo|process)_[a-z0-9_]+")
"""Metrics begin so, and no label does."""


def alerts() -> list[Mapping[str, Any]]:
    """Every alert."""
    groups = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboards() -> dict[str, Any]:
    """The dashboards by their audience."""
    return {file.stem: json.loads(file.read_text()) for file in sorted((FILES / "dashboards").glob("*.json"))}


def of_dashboard(board: Any) -> Iterator[str]:
    """Every expression of its panels and variables, with values for what Grafana fills in."""
    variables = {"$__rate_interval": "5m", "$tenant": "greenwood", "$domain": "exams", "$cluster": ".*"}
    said = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    queries = [each["definition"] for each in board["templating"]["list"] if each["type"] == "query"]
    said += [re.sub(r"label_values\((.*), \w+\)", r"\1", query) for query in queries]
    for expression in said:
        for variable, value in variables.items():
            expression = expression.replace(variable, value)  # noqa: PLW2901 - one after the other
        yield expression


def metrics(expression: str) -> set[str]:
    """The metrics that it reads."""
    return set(OURS.findall(re.sub(r'"[^"]*"', '""', expression)))


def used() -> dict[str, set[str]]:
    """By metric, the alerts and dashboards that read it."""
    found: dict[str, set[str]] = {}
    pairs = [(str(rule["alert"]), str(rule["expr"])) for rule in alerts()]
    pairs += [(name, expression) for name, board in dashboards().items() for expression in of_dashboard(board)]
    for name, expression in pairs:
        for metric in metrics(expression):
            found.setdefault(metric, set()).add(name)
    return found
