"""Where a path stands in a TOML text."""

import time
import tomllib

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drivers.sdk.tables.lines import LineIndex, with_lines
from drivers.sdk.tables.problem import Problem
from tests.drivers.sdk.tables.toml_texts import Text, tables

TEXT = '''name = "x"
frame = { sync = "AA", length = 3 }
reads = [
  { address = 0 },
  { address = 1 },
]
[page]
example = """
[[sensor]]
id = "a"
"""
[fields]
level = { at = 1 }
[fields.temp]   # a table of its own
at = 2
"odd key" = 3
"dotted.key".inner = 4
[[rule]]
quality = "a"
[[rule]]
quality = "b"
[rule.when]
level = 0
[[sensor]]
id = "air-1"
[[sensor]]
id = "air-2"
[sensor.calibrate]
pm10 = { scale = 2 }
[[sensor.reads]]
address = 3
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("name", 1),
        ("frame.sync", 2),
        ("frame.check.at", 2),
        ("reads", 3),
        ("reads[0].address", 4),
        ("reads[1]", 5),
        ("reads[2]", 3),
        ("page.example", 8),
        ("page.id", 7),
        ("fields.level.at", 13),
        ("fields.temp.at", 15),
        ("fields.temp.scale", 14),
        ("fields.temp.odd key", 16),
        ("fields.temp.dotted.key.inner", 17),
        ("rule[0].quality", 19),
        ("rule[1].quality", 21),
        ("rule[1].when.level", 23),
        ("rule[1].fields", 20),
        ("sensor.air-2.id", 27),
        ("sensor[0].id", 25),
        ("sensor.air-1.driver", 24),
        ("sensor.air-2.calibrate.pm10.offset", 29),
        ("sensor.air-2.reads[0].count", 30),
        ("missing", 1),
        ("", 1),
    ],
)
def test_a_path_is_found_on_its_line_or_on_that_of_the_table_around_it(path: str, line: int) -> None:
    assert LineIndex(TEXT).find(path) == line


def test_a_header_is_the_place_of_a_table_that_was_mentioned_before() -> None:
    assert LineIndex("[a.b]\nx = 1\n[a]\ny = 2\n").find("a.z") == 3


@pytest.mark.parametrize("end", ['"' * 3, '"' * 4, '"' * 5, '\\""""'])
def test_quotes_may_stand_at_the_end_of_a_long_string(end: str) -> None:
    assert LineIndex(f'a = """\n{end}\nb = 1\n').find("b") == 3


def test_a_problem_without_a_path_keeps_its_line() -> None:
    found = with_lines(
        [Problem("error", "syntax", "", "no", line=7), Problem("error", "type", "b", "no")], "a = 1\nb = 2"
    )
    assert [problem.line for problem in found] == [7, 2]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_key_of_any_text_is_found(data: st.DataObject) -> None:
    written = Text(data.draw)
    written.document(data.draw(tables))
    try:
        tomllib.loads(written.text)
    except tomllib.TOMLDecodeError:
        assume(False)
    lines = LineIndex(written.text)
    assert {path: lines.find(path) for path, known in written.lines.items() if lines.find(path) not in known} == {}


STATEMENTS = ["a = 1", '"b.c" = [1, { x = 2 }]', "[t]", "[[u]]", "[t.v]", "# c", "", 'k = """\n"""', "[u.w]", "ü.x = 1"]


@given(st.lists(st.sampled_from(STATEMENTS)), st.text(alphabet="abctux.[]0", max_size=8))
def test_any_path_gives_a_line_of_the_text(statements: list[str], path: str) -> None:
    text = "\n".join(statements)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert 1 <= LineIndex(text).find(path) <= text.count("\n") + 1


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"nonsense-{number} = 1\n" for number in range(20_000)),
        "".join(f'[[sensor]]\nid = "s{number}"\n' for number in range(5_000)),
        'a = """' + 'x"" \\" ' * 60_000 + '"""\n',
        "a = [" + "[1], " * 20_000 + "]\n",
        "a = " + "[" * 300 + "]" * 300,
    ],
    ids=["keys", "entries", "string", "array", "deep"],
)
def test_a_large_file_is_searched_in_bounded_time(text: str) -> None:
    began = time.monotonic()
    lines = LineIndex(text)
    for number in range(100):
        lines.find(f"sensor.s{number}.driver")
        lines.find(f"nonsense-{number}")
    assert time.monotonic() - began < 20
