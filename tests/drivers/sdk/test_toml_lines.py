import pytest

from drivers.sdk.toml_lines import line_of

TEXT = '''name = "x"
frame = { sync = "AA",
  length = 3 }
reads = [
  { address = 0 },
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
[[rule]]
quality = "a"
[[rule]]
quality = "b"
[rule.when]
level = 0
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("name", 1),
        ("frame.sync", 2),
        ("frame.check.at", 2),
        ("reads[0].address", 4),
        ("page.example", 8),
        ("page.id", 7),
        ("sensor", 1),
        ("fields.level.at", 13),
        ("fields.temp.at", 15),
        ("fields.temp.scale", 14),
        ("fields.temp.odd key", 16),
        ("rule[0].quality", 18),
        ("rule[1].quality", 20),
        ("rule[1].when.level", 22),
        ("rule[1].fields", 19),
        ("missing", 1),
        ("", 1),
    ],
)
def test_a_key_is_found_on_its_line_or_on_that_of_what_holds_it(path: str, line: int) -> None:
    assert line_of(TEXT, path) == line
