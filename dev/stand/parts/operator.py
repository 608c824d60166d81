"""The operator itself, run from the checkout against this stand with the weak rights it has anywhere."""

from __future__ import annotations

from stand.part import Part, answers
from stand.state import CHECKOUT, Stand

PROGRAM = CHECKOUT / ".venv" / "bin" / "matrixhub"


def _command(stand: Stand) -> list[str]:
    settings = {
        "KUBECONFIG": stand.state / "operator.kubeconfig",
        "MATRIXHUB_METRICS_PORT": stand.port("operator"),
    }
    return ["env", *(f"{name}={value}" for name, value in settings.items()), str(PROGRAM)]


def _ready(stand: Stand) -> bool:
    return answers(f"http://127.0.0.1:{stand.port('operator')}/metrics")


OPERATOR = Part(name="operator", group="operator", command=_command, ready=_ready)
