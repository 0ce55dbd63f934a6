"""Starts that ended badly."""

import pytest

from agent.app.crash_loop import SAFE_AFTER, CrashLoop, decoded


def test_after_five_bad_ends_in_a_row_it_is_safe_mode_and_the_waits_before_grow() -> None:
    count, waits = CrashLoop("b0"), []
    for _ in range(SAFE_AFTER):
        assert not count.safe
        waits.append(count.wait_s)
        count = decoded(count.after_fault().encoded(), "b0")
    assert count.safe
    assert count.wait_s == 0
    assert waits == sorted(waits)
    assert waits[:2] == [0, 0]
    assert waits[-1] > waits[2] > 0


def test_safe_mode_that_ends_badly_as_well_is_not_tried_every_two_seconds() -> None:
    count, waits = CrashLoop("b0", SAFE_AFTER), []
    for _ in range(4):
        count = decoded(count.after_fault().encoded(), "b0")
        waits.append(count.wait_s)
    assert count.safe
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (30, 60)


def test_another_boot_begins_anew() -> None:
    assert decoded(CrashLoop("b0", 5).encoded(), "b1") == CrashLoop("b1", 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"boot_id": "b0"}',
        '{"boot_id": "b0", "failed": "5"}',
        '{"boot_id": "b0", "failed": -1}',
        '{"boot_id": "b0", "failed": 9000000000}',
    ],
)
def test_a_file_that_is_torn_counts_nothing(text: str) -> None:
    assert decoded(text, "b0") == CrashLoop("b0", 0)
