"""Sets and maps for Hypothesis that cost few draws: one drawn member by member takes most of a law's time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
K = TypeVar("K")


def subsets(pool: Iterable[T]) -> st.SearchStrategy[frozenset[T]]:
    """Any subset of the pool, by one number whose bits say what is in it; the empty one is the simplest."""
    members = list(pool)
    return st.integers(0, 2 ** len(members) - 1).map(
        lambda bits: frozenset(member for place, member in enumerate(members) if bits >> place & 1)
    )


def maps(options: Mapping[K, Sequence[Any]]) -> st.SearchStrategy[dict[K, Any]]:
    """Each key absent or with one of its options, by one draw a key."""
    absent = object()
    drawn = st.tuples(*(st.sampled_from([absent, *values]) for values in options.values()))
    return drawn.map(
        lambda values: {key: value for key, value in zip(options, values, strict=True) if value is not absent}
    )
