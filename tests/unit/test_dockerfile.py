"""The image that users build says the same of itself as the one that the stand makes by hand."""

import json
import re
from pathlib import Path

from stand.images import MATRIXHUB
from stand.recipes import UV_VERSION

TEXT = (Path(__file__).parents[2] / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
FINAL = TEXT.rpartition("\nFROM ")[2]


def instruction(name: str) -> str:
    (only,) = re.findall(rf"^{name} (.*)$", FINAL, re.MULTILINE)
    return str(only)


def test_labels() -> None:
    labels = dict(re.findall(r'(\S+)="(.*?)"', instruction("LABEL")))
    made = MATRIXHUB.labels()
    arguments = {"version": "${VERSION}", "revision": "${REVISION}"}
    assert labels == made | {f"org.opencontainers.image.{name}": value for name, value in arguments.items()}
    assert f"ARG VERSION={made['org.opencontainers.image.version']}" in FINAL


def test_how_it_starts() -> None:
    config = MATRIXHUB.config
    assert json.loads(instruction("ENTRYPOINT")) == config["Entrypoint"]
    assert instruction("ENV").split() == config["Env"]
    assert (instruction("USER"), instruction("WORKDIR")) == (config["User"], config["WorkingDir"])


def test_the_same_uv_installs_what_is_locked() -> None:
    assert f"ARG UV_VERSION={UV_VERSION}\n" in TEXT
