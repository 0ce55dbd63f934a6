"""A set of numbers as ranges behaves as a set of numbers does."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.base.ranges import Ranges

_pairs = st.tuples(st.integers(0, 40), st.integers(0, 40))
_steps = st.lists(st.tuples(st.sampled_from(["add", "remove"]), _pairs), max_size=30)


@given(_steps)
def test_adding_and_removing_is_as_with_a_plain_set(steps: list[tuple[str, tuple[int, int]]]) -> None:
    ranges, plain = Ranges(), set[int]()
    for what, (start, stop) in steps:
        if what == "add":
            fresh = len(set(range(start, stop)) - plain)
            assert ranges.add(start, stop) == fresh
            plain |= set(range(start, stop))
        else:
            ranges.remove(start, stop)
            plain -= set(range(start, stop))
        assert {number for pair in ranges for number in range(*pair)} == plain
        assert ranges.count() == len(plain)
        assert [number in ranges for number in range(41)] == [number in plain for number in range(41)]
    pairs = list(ranges)
    assert all(a[1] < b[0] for a, b in pairwise(pairs)), "ranges touch or overlap"


@given(st.lists(_pairs, max_size=8), _pairs)
def test_gaps_are_what_is_not_in_the_set(pairs: list[tuple[int, int]], span: tuple[int, int]) -> None:
    ranges = Ranges(pairs)
    held = {number for pair in ranges for number in range(*pair)}
    missing = {number for gap in ranges.gaps(*span) for number in range(*gap)}
    assert missing == set(range(*span)) - held
    first = ranges.first_gap(*span)
    assert (first is None) == (not missing)
    assert first is None or first[0] == min(missing)


def test_ranges_are_equal_to_ranges_with_the_same_members_alone() -> None:
    assert Ranges([(1, 3), (3, 5)]) == Ranges([(1, 5)])
    assert Ranges([(1, 3)]) != Ranges([(1, 4)])
    assert Ranges([(1, 3)]) != [(1, 3)]
    assert Ranges() != ()
    assert repr(Ranges([(1, 3)])) == "Ranges([(1, 3)])"


@given(st.lists(_pairs, max_size=8), _pairs)
def test_overlap_is_as_with_a_plain_set(pairs: list[tuple[int, int]], span: tuple[int, int]) -> None:
    held = {number for start, stop in pairs for number in range(start, stop)}
    if span[0] < span[1]:
        assert Ranges(pairs).overlaps(*span) == bool(held & set(range(*span)))
    assert len(Ranges(pairs)) == len(list(Ranges(pairs)))
