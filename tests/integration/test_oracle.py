"""The judge of the integration tests, judged itself: each kind of fault, planted once, is found."""

from collections.abc import Mapping
from typing import Any

import pytest

from agent.base.reading import Context, Row, packed
from agent.delivery import wire
from agent.fleet.gap_ledger import StreamId
from tests.support.agent_process import BASE, GATEWAY, Accepted
from tests.support.oracle import holes, judge
from tests.support.recorder import Received

STREAM = "telemetry/dust-1"
OF = StreamId(GATEWAY, STREAM, "7c1f9a02")
ROWS: dict[int, Mapping[str, Any]] = {number: {"t": 1000 + number, "n0_3": number} for number in range(1, 7)}
SENT = {STREAM: [{"n0_3": number} for number in range(9)]}


def message(
    *numbers: int, low_water: int = 7, late: bool = False, rows: Mapping[int, Mapping[str, Any]] = ROWS
) -> Received:
    context = Context(OF.epoch, "b41d0c7e", 1, "5e2190ab")
    found = [Row(number, rows[number]["t"], 0, context, packed({"n0_3": rows[number]["n0_3"]})) for number in numbers]
    return Received(f"{BASE}/{STREAM}", wire.encode_batch(found, low_water, late, "msgpack"))


def accepted(rows: Mapping[int, Mapping[str, Any]] = ROWS) -> Accepted:
    return {(OF, number): row for number, row in rows.items()}


GOOD = [message(1, 2, low_water=1), message(3, 4, low_water=1), message(5, 6, low_water=5)]


def test_a_good_run_has_no_fault() -> None:
    assert judge(GOOD, accepted(), SENT) == []


def test_what_is_sent_again_as_not_live_is_no_fault() -> None:
    assert judge([*GOOD, message(3, 4, low_water=3, late=True)], accepted(), SENT) == []


def test_a_lost_reading_is_found() -> None:
    faults = judge([GOOD[0], message(3, low_water=1), message(5, 6, low_water=5)], accepted(), SENT)
    assert f"lost: {STREAM} 4" in faults
    assert any(fault.startswith("late: 1") for fault in faults)


def test_a_lost_last_reading_is_found() -> None:
    assert judge([*GOOD[:2], message(5, low_water=5)], accepted(), SENT) == [f"lost: {STREAM} 6"]


def test_a_reading_that_was_stored_twice_is_found() -> None:
    rows = {**ROWS, 6: ROWS[5]}
    faults = judge([*GOOD[:2], message(5, 6, low_water=5, rows=rows)], accepted(rows), SENT)
    assert [fault for fault in faults if fault.startswith("twice by content")]


@pytest.mark.parametrize("number", [6, 7])
def test_an_invented_reading_is_found(number: int) -> None:
    """Whether it bears a number that the store gave, or one that it never gave."""
    rows = {**ROWS, number: {"t": 1009, "n0_3": 77}}
    faults = judge([*GOOD[:2], message(5, *range(6, number + 1), rows=rows)], accepted(), SENT)
    assert [fault for fault in faults if fault.startswith("invented")]


def test_a_reordered_live_message_is_found() -> None:
    faults = judge([GOOD[0], GOOD[2], GOOD[1]], accepted(), SENT)
    assert faults == [f"reordered: live {STREAM} 3 came behind 6"]


def test_a_live_message_that_comes_twice_is_found() -> None:
    assert judge([*GOOD, GOOD[2]], accepted(), SENT) == [f"reordered: live {STREAM} 5 came behind 6"]


def test_numbers_given_in_another_order_than_measured_are_found() -> None:
    rows = {**ROWS, 3: ROWS[4], 4: ROWS[3]}
    faults = judge([GOOD[0], message(3, 4, rows=rows), GOOD[2]], accepted(rows), SENT)
    assert faults == [f"reordered: {STREAM} has 4 before 3"]


def test_an_altered_value_is_found() -> None:
    rows = {**ROWS, 4: {"t": 1004, "n0_3": 8}}
    faults = judge([GOOD[0], message(3, 4, rows=rows), GOOD[2]], accepted(), SENT)
    assert [fault for fault in faults if fault.startswith("altered")]


def test_a_number_that_says_something_else_the_second_time_is_found() -> None:
    again = message(4, late=True, rows={4: {"t": 2000, "n0_3": 4}})
    assert [fault for fault in judge([*GOOD, again], accepted(), SENT) if fault.startswith("altered")]


def test_holes_in_a_count_are_found() -> None:
    assert holes([3, 1, 2, 5, 9]) == 2
