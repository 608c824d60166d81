"""What goes wrong with a part of the stand is told by the one Failure of `up` and `down`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stand import lifecycle, process
from stand.part import Part
from stand.run import Failure
from stand.state import Stand


def unlucky(*_: object) -> list[str]:
    raise ZeroDivisionError


@pytest.mark.parametrize("act", [lifecycle.up, lifecycle.down])
def test_a_bug_in_a_part_is_told_with_its_stack(
    act: Callable[[Stand, list[Part]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "remaining", unlucky)
    with pytest.raises(Failure, match=r"unlucky(.|\n)*ZeroDivisionError"):
        act(Stand(tmp_path, 15), [Part("fragile", "backends", unlucky, bool)])
