import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sensing.quality import assess
from drivers.sdk.contract import Field, Measurement, Value

GAUGE = Field("Cel", resolution=0.1, min=-55, max=125)


def assessed(value: object, field: Field = GAUGE, **q: str) -> tuple[Value, str]:
    found = assess(Measurement({"x": value}, q), {"x": field})  # type: ignore[dict-item]
    return found.values["x"], found.q.get("x", "")


@pytest.mark.parametrize(
    ("value", "resolution", "rounded"),
    [
        (123.60000000000001, 0.1, 123.6),
        (25.07, 0.0625, 25.0625),
        (7.5, 0.2, 7.6),
        (61.2549, 0.001, 61.255),
        (1e-9, 1e-7, 0.0),
        (99.6, 1, 100),
        (1234.0, 5, 1235),
        (3.14159, None, 3.14159),
        (17, 0.1, 17),
    ],
)
def test_a_value_is_rounded_to_its_resolution(value: float, resolution: float | None, rounded: float) -> None:
    assert assessed(value, Field(resolution=resolution)) == (rounded, "")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -55.1, 125.5, 126, 10**400])
def test_what_no_such_device_can_report_is_null_and_out_of_range(value: float) -> None:
    assert assessed(value) == (None, "bad:range")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**53 + 1, -(2**60)])
def test_a_field_without_limits_still_passes_no_number_that_cannot_be_sent(value: float) -> None:
    assert assessed(value, Field()) == (None, "bad:range")


@pytest.mark.parametrize("value", [-55, 125, -55.0, 125.0])
def test_the_limits_themselves_are_good(value: float) -> None:
    assert assessed(value) == (value, "")


@pytest.mark.parametrize("value", ["21.5", True, [1], {}, b"x", 1j])
def test_a_gauge_passes_nothing_but_numbers(value: object) -> None:
    assert assessed(value) == (None, "bad:format")


@pytest.mark.parametrize("value", [3, 3.5, True, "x" * 257, "\ud800", b"x"])
def test_a_text_passes_nothing_but_short_unicode(value: object) -> None:
    assert assessed(value, Field(kind="text")) == (None, "bad:format")


@pytest.mark.parametrize("value", ["on", "\u00e9t\u00e9", True, False, 3])
def test_a_state_may_be_a_word_a_truth_or_a_number(value: object) -> None:
    assert assessed(value, Field(kind="state")) == (value, "")


def test_a_missing_value_without_a_reason_is_the_device_s_fault() -> None:
    assert assessed(None) == (None, "bad:device")


def test_the_driver_s_doubts_are_kept() -> None:
    assert assessed(21.04, x="uncertain:warmup") == (21.0, "uncertain:warmup")
    assert assessed(None, x="bad:crc") == (None, "bad:crc")


def test_a_bad_value_is_null_whatever_the_driver_left_in_it() -> None:
    assert assessed(21.0, x="bad:crc") == (None, "bad:crc")


def test_a_doubted_value_that_is_missing_or_impossible_is_bad() -> None:
    assert assessed(None, x="uncertain:warmup") == (None, "bad:warmup")
    assert assessed(400.0, x="uncertain:warmup") == (None, "bad:range")


@pytest.mark.parametrize("doubt", ["bad", "bad:mood", "good:crc", ""])
def test_a_doubt_that_may_not_be_published_counts_as_a_fault(doubt: str) -> None:
    assert assessed(21.0, x=doubt) == (None, "bad:device")


def test_unknown_fields_are_dropped() -> None:
    found = assess(Measurement({"x": 1, "y": 2}, {"z": "bad:crc"}), {"x": GAUGE})

    assert found == Measurement({"x": 1})


def test_a_bad_field_that_the_driver_left_out_is_shown_as_null() -> None:
    assert assess(Measurement({}, {"x": "bad:timeout"}), {"x": GAUGE}) == Measurement({"x": None}, {"x": "bad:timeout"})


@given(value=st.floats(-1e9, 1e9), resolution=st.sampled_from([1, 0.1, 0.01, 0.5, 0.25, 0.0625, 2, 0.2794]))
def test_rounding_moves_a_value_by_half_a_step_at_most(value: float, resolution: float) -> None:
    found, _ = assessed(value, Field(resolution=resolution))

    assert isinstance(found, (int, float))
    assert abs(found - value) <= resolution / 2 * (1 + 1e-6) + 1e-6
