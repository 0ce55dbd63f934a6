"""Tables become dataclasses by their annotations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest

from drivers.sdk.tables.limits import Hex, Limit, Number, Positive, Scalar, Text
from drivers.sdk.tables.problem import MAX_PROBLEMS, Report
from drivers.sdk.tables.reader import keys_of, labels, parse_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    from_: int
    to: int = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    sync: Hex
    factor: Number = 1
    wait_s: Positive = 1
    order: Annotated[str, Limit(choices=("high", "low"))] = "high"
    mode: Literal["a", "b"] | None = None
    span: int | Span = 0
    spans: Annotated[tuple[Span, ...], Limit(min=1, max=2)] = ()
    when: Mapping[str, Scalar | tuple[Scalar, ...]] = field(default_factory=dict)
    text: Text = ""
    own: int = field(default=5, metadata={"in_file": False})


def parsed(**table: object) -> Probe:
    report = Report()
    probe = parse_table(Probe, {"sync": "AA", **table}, "", report)
    assert report.problems() == ()
    return probe


def found(table: Mapping[str, object], path: str = "") -> list[tuple[str, str]]:
    report = Report()
    assert isinstance(parse_table(Probe, table, path, report), Probe)
    return [(problem.path, problem.code) for problem in report.problems()]


def test_an_integer_stays_one_where_any_number_may_stand() -> None:
    assert isinstance(parsed(factor=3).factor, int)
    assert isinstance(parsed(factor=3.0).factor, float)


def test_a_key_that_is_a_word_of_python_belongs_to_a_field_with_an_underscore() -> None:
    assert parsed(span={"from": 3}).span == Span(from_=3, to=9)
    assert "own" not in keys_of(Probe)


def test_a_value_of_a_union_is_parsed_by_its_type() -> None:
    assert parsed(span=7).span == 7
    assert parsed(when={"x": 0, "y": [True, "z"]}).when == {"x": 0, "y": (True, "z")}


def test_a_text_for_a_device_may_have_any_characters() -> None:
    assert parsed(text="\x1b\x00\r\n").text == "\x1b\x00\r\n"


@pytest.mark.parametrize(
    ("key", "value", "path", "code"),
    [
        ("sync", "A", "sync", "pattern"),
        ("factor", "x", "factor", "type"),
        ("factor", True, "factor", "type"),
        ("factor", 1e301, "factor", "range"),
        ("wait_s", 0, "wait_s", "range"),
        ("order", "middle", "order", "choice"),
        ("order", 1, "order", "choice"),
        ("mode", "c", "mode", "choice"),
        ("span", "x", "span", "type"),
        ("span", {"to": 1}, "span.from", "missing"),
        ("spans", [], "spans", "length"),
        ("spans", [{"from": 1}] * 3, "spans", "length"),
        ("spans", [{"from": 1}, {"from": "x"}], "spans[1].from", "type"),
        ("spans", [{"from": 1, "id": "x"}], "spans[0].id", "unknown_key"),
        ("when", {"x": {}}, "when.x", "type"),
        ("when", {"x": [1, {}]}, "when.x[1]", "type"),
        ("own", 1, "own", "unknown_key"),
    ],
)
def test_a_wrong_value_is_one_problem_with_its_path(key: str, value: object, path: str, code: str) -> None:
    assert found({"sync": "AA", key: value}) == [(path, code)]
    assert found({"sync": "AA", key: value}, "at") == [(f"at.{path}", code)]


def test_a_misspelt_key_that_is_required_is_one_problem() -> None:
    assert found({"sinc": "AA"}) == [("sinc", "unknown_key")]
    assert found({"other": "AA"}) == [("other", "unknown_key"), ("sync", "missing")]


def test_keys_of_another_description_are_left_to_it() -> None:
    report = Report()
    parse_table(Span, {"from": 1, "name": "x"}, "", report, others=("name",))
    assert report.problems() == ()


def test_the_entries_of_an_array_have_their_id_or_their_place() -> None:
    assert labels("sensor", ["air-1", None, "b", "b", "B"]) == [
        "sensor.air-1",
        "sensor[1]",
        "sensor[2]",
        "sensor[3]",
        "sensor[4]",
    ]


def test_an_error_makes_what_contains_it_unsound_and_what_it_contains() -> None:
    report = Report()
    report.error("a.b[0].c", "type", "")
    assert [report.sound(path) for path in ("a", "a.b", "a.b[0]", "a.b[0].c.d", "a.b[1]", "a.c", "ab")] == [
        False,
        False,
        False,
        False,
        True,
        True,
        True,
    ]


def test_problems_are_bounded() -> None:
    report = Report()
    for number in range(MAX_PROBLEMS + 5):
        report.unknown_key("", f"k{number}", ["key"])
    problems = report.problems()
    assert len(problems) == MAX_PROBLEMS + 1
    assert (problems[-1].code, problems[-1].message) == ("more", "and 5 more problems")
