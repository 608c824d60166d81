"""`python sbom.py FOLDER FILE`: FILE lists the Python packages that are installed in FOLDER, as CycloneDX.

Stands alone: the Dockerfile runs it, too.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

PATH = "usr/share/doc/matrixhub/sbom.cdx.json"
"""Where the image has it; the image's label names it."""


def _component(package: Distribution) -> dict[str, object]:
    name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
    purl = f"pkg:pypi/{name}@{package.version}"
    made: dict[str, object] = {"type": "library", "bom-ref": purl, "name": name, "version": package.version}
    licence = package.metadata.get("License-Expression")
    return made | ({"licenses": [{"expression": licence}]} if licence else {}) | {"purl": purl}


def bill(folder: Path) -> str:
    """The packages by name. The same packages make the same text."""
    components = sorted(map(_component, distributions(path=[str(folder)])), key=lambda each: str(each["purl"]))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    subject = {"component": {"type": "container", "bom-ref": "matrixhub", "name": "matrixhub"}}
    return json.dumps({**head, "metadata": subject, "components": components}, indent=1) + "\n"


def write(folder: Path, file: Path) -> None:
    """The file lists what is installed in the folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(bill(folder), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
