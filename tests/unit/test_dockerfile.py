"""The images that users build say the same of themselves as those that the stand makes by hand."""

import json
import re
from pathlib import Path

import pytest

from stand.archive import Image
from stand.images import GATEWAY, MATRIXHUB
from stand.recipes import SOCKUDO_FEATURES, SOCKUDO_VERSION, UV_VERSION


def read(name: str) -> str:
    text = (Path(__file__).parents[2] / name).read_text(encoding="utf-8")
    return text.replace("\\\n", " ")


OPERATOR, GATEWAYS = read("Dockerfile"), read("Dockerfile.gateway")


def instruction(text: str, name: str) -> str:
    """What the last stage says once."""
    (only,) = re.findall(rf"^{name} (.*)$", text.rpartition("\nFROM ")[2], re.MULTILINE)
    return str(only)


def argument(text: str, name: str) -> str:
    """The default of an argument, which is the same in every stage."""
    (only,) = set(re.findall(rf'^ARG {name}="?(.*?)"?$', text, re.MULTILINE))
    return str(only)


def test_labels() -> None:
    labels = dict(re.findall(r'(\S+)="(.*?)"', instruction(OPERATOR, "LABEL")))
    made = MATRIXHUB.labels()
    arguments = {"version": "${VERSION}", "revision": "${REVISION}"}
    assert labels == made | {f"org.opencontainers.image.{name}": value for name, value in arguments.items()}
    assert argument(OPERATOR, "VERSION") == made["org.opencontainers.image.version"]


@pytest.mark.parametrize(("text", "image"), [(OPERATOR, MATRIXHUB), (GATEWAYS, GATEWAY)], ids=["operator", "gateway"])
def test_how_it_starts(text: str, image: Image) -> None:
    config = image.config
    assert json.loads(instruction(text, "ENTRYPOINT")) == config["Entrypoint"]
    assert (instruction(text, "USER"), instruction(text, "WORKDIR")) == (config["User"], config["WorkingDir"])


def test_the_operators_environment() -> None:
    assert instruction(OPERATOR, "ENV").split() == MATRIXHUB.config["Env"]


def test_the_same_uv_installs_what_is_locked() -> None:
    assert argument(OPERATOR, "UV_VERSION") == UV_VERSION


def test_the_same_gateway_over_the_same_base() -> None:
    assert argument(GATEWAYS, "SOCKUDO_VERSION") == SOCKUDO_VERSION
    assert argument(GATEWAYS, "FEATURES") == SOCKUDO_FEATURES
    assert argument(GATEWAYS, "PACKAGES") == argument(OPERATOR, "BASE_PACKAGES")
