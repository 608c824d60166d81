"""The images that users build from the Dockerfiles, built here as they do: they are those that all tests run."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.stand.conftest import House
from tests.stand.contents import Contents
from tests.support import ROOT

from stand import archive
from stand.archive import Image
from stand.images import DOCKERFILE, GATEWAY, GATEWAY_DOCKERFILE, MATRIXHUB
from stand.recipes import SOCKUDO_VERSION

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Pair:
    """One image, made in two ways."""

    built: Contents
    by_hand: Contents


@pytest.fixture(scope="module")
def built(house: House) -> Path:
    """The folder of the archives; the node has what is in them."""
    subprocess.run(["python3", ROOT / "dev" / "stand", "dockerfile"], env=house.environment, check=True)
    return Path(house.variables["MATRIXHUB_STAND"], "dockerfile")


def pair(file: Path, image: Image, folder: Path) -> Pair:
    archive.write(folder / "by-hand.tar", [image])
    return Pair(Contents(file), Contents(folder / "by-hand.tar"))


@pytest.fixture(scope="module")
def operators(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(built / "image.tar", MATRIXHUB, tmp_path_factory.mktemp("operators"))


@pytest.fixture(scope="module")
def gateways(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(built / "gateway.tar", GATEWAY, tmp_path_factory.mktemp("gateways"))


@pytest.mark.parametrize("which", ["operators", "gateways"])
def test_it_has_the_files_of_the_stands_own_image_and_no_others(which: str, request: pytest.FixtureRequest) -> None:
    made: Pair = request.getfixturevalue(which)
    ours, theirs = made.by_hand.files, made.built.files
    differing = {path: (ours.get(path), theirs.get(path)) for path in ours.keys() | theirs.keys()}
    differing = {path: both for path, both in differing.items() if both[0] != both[1]}
    assert differing == {}, "if these are Debian's: it has released since; remove buildah and layer-* from the cache"


def said(contents: Contents) -> dict[str, Any]:
    """How it starts, and its labels but the builder's own."""
    labels = contents.config.get("Labels") or {}
    return {**contents.config, "Labels": {k: v for k, v in labels.items() if k != "io.buildah.version"}}


def test_it_says_of_itself_what_the_stands_own_image_says(operators: Pair) -> None:
    assert said(operators.built) == said(operators.by_hand)


def test_the_gateways_say_what_they_are_and_start_as_the_stands_do(gateways: Pair) -> None:
    built = said(gateways.built)
    assert built.pop("Labels")["org.opencontainers.image.version"] == SOCKUDO_VERSION
    assert {name: built[name] for name in GATEWAY.config} == GATEWAY.config


def test_it_lists_its_packages_where_its_label_says(operators: Pair) -> None:
    built = operators.built
    bill = json.loads(built.text(built.config["Labels"]["io.matrixhub.sbom"]))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    installed = {path for path in built.files if path.endswith(".dist-info")}
    assert len(bill["components"]) == len(installed) > 0


def test_it_runs_as_nobody_and_writes_nowhere(house: House, built: Path) -> None:
    house.run("built-help", DOCKERFILE, args=["--help"])
    house.wait("built-help", "{.status.phase}", "Succeeded")
    assert house.log("built-help").startswith("usage: matrixhub")


def test_the_operator_of_it_serves_in_a_pod(house: House, built: Path) -> None:
    house.serves_operator("built-operator", DOCKERFILE)


def test_the_gateway_of_it_serves_in_a_pod(house: House, built: Path) -> None:
    house.serves_gateway("built-gateway", GATEWAY_DOCKERFILE)
