"""Generated files: written where they are not as they have to be, or named."""

from pathlib import Path

import pytest

from generated import settle

TEXTS = {"changed.md": "one", "deep/down/missing.yaml": "two", "right.md": "three"}


def test_what_is_missing_or_changed_is_written_and_the_rest_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "changed.md").write_text("another")
    (tmp_path / "right.md").write_text("three")

    assert settle(tmp_path, TEXTS, check=False) == 0

    assert {name: (tmp_path / name).read_text() for name in TEXTS} == TEXTS
    assert capsys.readouterr().out.splitlines() == ["Wrote changed.md", "Wrote deep/down/missing.yaml"]
    assert settle(tmp_path, TEXTS, check=True) == 0


def test_check_names_a_file_that_is_missing_or_changed_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "changed.md").write_text("another")
    (tmp_path / "right.md").write_text("three")

    assert settle(tmp_path, TEXTS, check=True) == 1

    told = capsys.readouterr().out
    assert [name for name in TEXTS if name in told] == ["changed.md", "deep/down/missing.yaml"]
    assert (tmp_path / "changed.md").read_text() == "another"
    assert not (tmp_path / "deep").exists()
