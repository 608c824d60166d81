"""`python dev/crds.py [--check]`: the CustomResourceDefinitions, generated from the models."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import generated
from matrixhub.api import crd

FOLDERS = ("crds", "helm/matrixhub/files/crds")
"""One for kubectl, one that is packed with the chart."""


def files() -> Mapping[str, str]:
    """By path, the text of each file."""
    return {f"{folder}/{name}": text for folder in FOLDERS for name, text in crd.files().items()}


if __name__ == "__main__":
    sys.exit(generated.main(files()))
