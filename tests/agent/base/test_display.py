"""What a stranger wrote, where people and programs read it."""

import json

import pytest

from agent.base.display import csv_cell, json_text


def test_json_of_a_stranger_escapes_what_is_not_visible_and_stays_the_same_value() -> None:
    value = {"a": "\x1b[2J\u202ex\ud800é", "b": [1.5, None, {"c\u2066": "\n"}]}
    for indent in (None, 1):
        text = json_text(value, indent)
        assert json.loads(text) == value
        assert "é" in text
        assert not any(character in text for character in "\x1b\u202e\ud800\u2066")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1+1", "'+1+1"),
        ("-1+1", "'-1+1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'?=1"),
        ("\uff1d1", "'\uff1d1"),
        ("-5.25", "-5.25"),
        ("+1e3", "+1e3"),
        ("1=1", "1=1"),
        ("", ""),
        ("a\x1b", "a?"),
    ],
)
def test_no_cell_is_a_formula_and_numbers_stay(text: str, cell: str) -> None:
    assert csv_cell(text) == cell
