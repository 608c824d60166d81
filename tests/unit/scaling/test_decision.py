import pytest

from matrixhub.scaling.decision import NOT_PAUSED, Bounds, pause


@pytest.mark.parametrize(
    ("said", "up", "down"),
    [("true", True, True), ("up", True, False), ("down", False, True), (" Up ", True, False)],
)
def test_a_direction_is_paused_by_its_word(said: str, up: bool, down: bool) -> None:  # noqa: FBT001 - what is expected
    assert (pause(said).up, pause(said).down) == (up, down)


@pytest.mark.parametrize("said", [None, "", "false"])
def test_nothing_is_paused_without_the_annotation(said: str | None) -> None:
    assert pause(said) == NOT_PAUSED


def test_an_unknown_word_pauses_both_and_says_what_to_write() -> None:
    paused = pause("sideways")
    assert (paused.up, paused.down) == (True, True)
    assert '"sideways": write "true", "up" or "down", or remove it' in paused.message


@pytest.mark.parametrize(("low", "high"), [(0, 3), (-1, 1), (4, 3)])
def test_bounds_never_allow_zero_nor_a_minimum_above_the_maximum(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="the minimum is 1 or more"):
        Bounds(low, high)
