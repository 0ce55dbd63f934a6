"""The times of rows that were measured while the clock was unset."""

import json

import pytest

from agent.base.ranges import Ranges
from agent.base.reading import Context, Row
from agent.store.boot_times import BootTimes
from agent.store.stream_account import StreamAccount

AIR, DOOR = "telemetry/air-1", "event/door-1"
TRUE_MS = 1_795_000_000_000
"""When the boot really began."""


def row(number: int, mono_ms: int = 1000, boot_id: str = "b1", clock_quality: int = 0) -> Row:
    return Row(number, mono_ms, mono_ms, Context("e", boot_id, clock_quality, "mh"), b"\x80")


def accounts(settled: int = 0, following: int = 100) -> dict[str, StreamAccount]:
    return {AIR: StreamAccount([(1, "e")], following, [(1, settled + 1)] if settled else [])}


def shown(times: BootTimes, *rows: Row, stream: str = AIR) -> list[tuple[int, int]]:
    return [(one.t, one.context.clock_quality) for one in times.corrected(stream, list(rows))]


def unset() -> BootTimes:
    times = BootTimes("b1")
    assert times.on_clock_unset(0)
    return times


def test_what_was_measured_before_the_clock_was_set_is_corrected() -> None:
    times = unset()
    assert shown(times, row(1)) == [(1000, 0)]
    assert times.on_clock_set(5000, TRUE_MS, 2, accounts())
    assert shown(times, row(1), row(2, 2000), row(3, 6000, clock_quality=1)) == [
        (TRUE_MS + 1000, 2),
        (TRUE_MS + 2000, 2),
        (6000, 1),
    ]
    assert shown(times, row(1, boot_id="b0")) == [(1000, 0)], "another boot, which nothing is known of"


def test_what_was_sent_keeps_the_time_that_it_was_sent_with() -> None:
    times = unset()
    times.mark_sent(AIR, 3, 5)  # and not acknowledged
    times.on_clock_set(5000, TRUE_MS, 1, accounts(settled=2))
    assert [clock_quality for _, clock_quality in shown(times, *(row(number) for number in range(1, 7)))] == [
        0,
        0,
        0,
        0,
        1,
        1,
    ]
    times.mark_sent(AIR, 5, 6)
    assert times.on_clock_set(6000, TRUE_MS + 90_000, 2, accounts(settled=5))
    assert shown(times, row(5), row(6)) == [(TRUE_MS + 1000, 1), (TRUE_MS + 91_000, 2)]


def test_it_is_the_same_after_a_restart() -> None:
    times = unset()
    times.on_clock_set(5000, TRUE_MS, 1, accounts(settled=2))
    times.on_clock_set(6000, TRUE_MS, 2, accounts(settled=3))
    for boot_id in ("b1", "b2"):
        after = BootTimes(boot_id)
        after.restore(times.dump())
        assert shown(after, row(2), row(3), row(4)) == [(1000, 0), (TRUE_MS + 1000, 1), (TRUE_MS + 1000, 2)]


def test_a_clock_that_was_set_while_the_agent_was_stopped_corrects_and_is_told_of() -> None:
    after = BootTimes("b1")
    after.restore(unset().dump())
    after.on_clock_set(5000, TRUE_MS, 1, accounts())
    assert shown(after, row(1)) == [(TRUE_MS + 1000, 1)]
    assert after.next_correction(5000) == (5000, TRUE_MS + 5000)


def test_a_boot_whose_clock_was_always_set_leaves_nothing_behind() -> None:
    times = BootTimes("b1")
    assert not times.on_clock_set(5000, TRUE_MS, 1, accounts())
    assert not times.on_clock_set(6000, TRUE_MS + 90_000, 1, accounts())
    assert (times.dump(), times.next_correction(6000), times.is_unset) == ("[]", None, False)


def test_what_is_measured_while_the_clock_is_unset_again_waits_again() -> None:
    times = unset()
    times.on_clock_set(5000, TRUE_MS, 1, accounts())
    times.on_clock_unset(0)
    assert shown(times, row(1, 1000), row(2, 7000)) == [(TRUE_MS + 1000, 1), (7000, 0)]
    assert times.is_unset
    times.on_clock_set(9000, TRUE_MS, 1, accounts())
    assert shown(times, row(2, 7000)) == [(TRUE_MS + 7000, 1)]


def test_a_clock_that_is_set_again_and_again_is_told_of_once_a_minute() -> None:
    times = unset()
    told = []
    for second in range(130):
        offset_ms = TRUE_MS + 10_000 * second
        times.on_clock_unset(0)
        times.on_clock_set(1000 * second, offset_ms, 1, accounts())
        told += [second] if times.next_correction(1000 * second) else []
    assert told == [0, 60, 120]
    assert len(json.loads(times.dump())[0]["eras"]) == 4
    assert times.next_correction(180_000) == (180_000, TRUE_MS + 1_290_000 + 180_000), "the last word is told"
    assert times.next_correction(999_000) is None


@pytest.mark.parametrize(
    ("stream", "one", "wait_ms"),
    [
        (AIR, row(1, 1000), 58_000),
        (DOOR, row(1, 1000), 0),
        ("telemetry/_agent", row(1, 1000), 0),
        (AIR, row(1, 1000, boot_id="b0"), 0),
        (AIR, row(1, 1000, clock_quality=1), 0),
        (AIR, row(1, -70_000), 0),
    ],
)
def test_readings_of_this_boot_wait_for_the_clock(stream: str, one: Row, wait_ms: int) -> None:
    times = unset()
    times.grace_ms = 60_000
    assert times.wait_ms(stream, one, 3000) == wait_ms
    times.on_clock_set(5000, TRUE_MS, 1, accounts())
    assert times.wait_ms(stream, one, 3000) == 0


def test_few_boots_and_few_ranges_are_kept() -> None:
    text = "[]"
    for number in range(40):
        times = BootTimes(f"b{number}")
        times.restore(text)
        times.on_clock_unset(0)
        account = StreamAccount([(1, "e")], 1000, [(2 * at, 2 * at + 1) for at in range(1, 400)])
        times.on_clock_set(5000, TRUE_MS + number, 1, {AIR: account})
        text = times.dump()
    assert len(json.loads(text)) == 17
    assert len(text) < 5000
    assert Ranges([(2, 799)]) == Ranges([tuple(pair) for pair in json.loads(text)[-1]["eras"][0][3][AIR]])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        "[1]",
        "[" * 5000,
        '[{"bid":"b1","unset":"x","now":true,"told":null,"eras":[]}]',
        '[{"bid":"b1","unset":0,"now":false,"told":null,"eras":[[1,2,9,{}]]}]',
        '[{"bid":"b1","unset":0,"now":false,"told":null,"eras":[[1,1e400,1,{}]]}]',
    ],
)
def test_nonsense_is_not_restored(text: str) -> None:
    times = BootTimes("b1")
    times.restore(text)
    assert (times.dump(), shown(times, row(1))) == ("[]", [(1000, 0)])
