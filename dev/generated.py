"""Files that are generated: each is written as it has to be, or, with `--check`, only compared."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from stand.state import CHECKOUT


def main(texts: Mapping[str, str]) -> int:
    """What a generator's command does with its files, each named by its path in the checkout. The exit status."""
    return settle(CHECKOUT, texts, check="--check" in sys.argv)


def settle(root: Path, texts: Mapping[str, str], *, check: bool) -> int:
    """Each file below `root` is as `texts` says; with `check`, each that is not is only named, and 1 is returned."""
    stale = {name: text for name, text in texts.items() if not _says(root / name, text)}
    for name, text in stale.items():
        if check:
            print(f"{name} is not as it is generated: run make generate")
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
            print(f"Wrote {name}")
    return int(check and bool(stale))


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
