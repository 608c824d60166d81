"""The images that the stand makes run as anybody would run them: as nobody, writing nowhere."""

import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from tests.stand.conftest import House
from tests.support import ROOT

from stand import archive
from stand.images import MATRIXHUB
from stand.layers import LAYERS


def test_the_operator_serves_in_a_pod(house: House) -> None:
    house.serves_operator("operator", house.variables["MATRIXHUB_IMAGE"])


def test_the_gateway_serves_in_a_pod(house: House) -> None:
    house.serves_gateway("gateway", house.variables["GATEWAY_IMAGE"])


def test_an_image_is_nobody_and_has_no_shell(house: House) -> None:
    code = "import os, shutil; print(os.getuid(), os.getgid(), shutil.which('sh'))"
    house.run("nobody", house.variables["MATRIXHUB_IMAGE"], command=["python3.11", "-c", code])
    house.wait("nobody", "{.status.phase}", "Succeeded")
    assert house.log("nobody").split() == ["65532", "65532", "None"]


def test_the_image_lists_its_packages_and_says_where(house: House, tmp_path: Path) -> None:
    layers = [f"sha256:{next(layer.folder.glob('*.tar')).stem}" for layer in LAYERS]
    archive.write(tmp_path / "image.tar", [MATRIXHUB], present=layers)
    with tarfile.open(tmp_path / "image.tar") as tar:

        def read(name: str) -> Any:
            member = tar.extractfile(name)
            assert member, name
            return json.load(member)

        def blob(descriptor: dict[str, Any]) -> Any:
            return read(f"blobs/{descriptor['digest'].replace(':', '/')}")

        manifest = blob(read("index.json")["manifests"][0])
        labels = blob(manifest["config"])["config"]["Labels"]
    assert manifest["annotations"] == labels
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert labels["org.opencontainers.image.revision"].removesuffix("-dirty") == head.strip()

    code = f"print(open({labels['io.matrixhub.sbom']!r}).read())"
    house.run("bill", house.variables["MATRIXHUB_IMAGE"], command=["python3.11", "-c", code])
    house.wait("bill", "{.status.phase}", "Succeeded")
    bill = json.loads(house.log("bill"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {f"{each['name']}=={each['version']}" for each in bill["components"]}
    locked = set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert listed <= locked
    assert {"kopf", "kafka-python", "psycopg-binary"} <= {each.partition("==")[0] for each in listed}
