"""Sentences in two languages: every one that is said is translated, and nothing else is."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from agent.base.bahasa import BAHASA
from agent.base.i18n import choose_language, csv_cell, json_text, say

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    yield
    choose_language({})


PLACES = {"say": 0, "wrong": 1, "Problem": 1, "_not": 2}
"""Where a call has its sentence: ``say(sentence)``, and in the profiles, which are translated where they are
shown, ``table.wrong(key, sentence)`` and ``Problem(path, sentence)``."""


WORDS = {("Limit", "means"), ("wrong", "wanted")}
"""Keyword arguments that are translated by themselves before they stand in a sentence."""


def _sentences(tree: ast.AST, package: str) -> Iterator[str]:
    """The sentences of a module, and words that stand in them."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        given = [word.value for word in node.keywords if (name, word.arg) in WORDS]
        if name == "say" or (name in PLACES and package == "drivers"):
            given += node.args[PLACES[name] : PLACES[name] + 1]
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def _said() -> set[str]:
    return {
        sentence
        for package in ("agent", "drivers")
        for file in (ROOT / package).rglob("*.py")
        for sentence in _sentences(ast.parse(file.read_text("utf-8")), package)
    }


def _placeholders(sentence: str) -> list[tuple[str, str | None, str | None]]:
    return sorted((name, form, turn) for _, name, form, turn in Formatter().parse(sentence) if name)


def test_every_sentence_is_translated() -> None:
    assert sorted(_said() - BAHASA.keys()) == []


def test_every_translation_is_used() -> None:
    assert sorted(BAHASA.keys() - _said()) == []


@pytest.mark.parametrize("english", sorted(BAHASA))
def test_a_translation_has_the_same_placeholders(english: str) -> None:
    assert _placeholders(BAHASA[english]) == _placeholders(english)


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "id_ID.UTF-8"}, "id"),
        ({"LANG": "id"}, "id"),
        ({"LANG": "idx_ID"}, "en"),
        ({"LANG": "id_ID.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "id_ID.UTF-8"}, "id"),
        ({"LANG": "id_ID.UTF-8", "LC_ALL": ""}, "id"),
    ],
)
def test_the_locale_chooses_the_language(environ: dict[str, str], language: str) -> None:
    assert choose_language(environ) == language


def test_a_sentence_is_said_in_the_chosen_language() -> None:
    choose_language({"LANG": "id_ID.UTF-8"})
    assert say("at most {count} bytes", count=3) == "paling banyak 3 bita"
    choose_language({})
    assert say("at most {count} bytes", count=3) == "at most 3 bytes"


def test_braces_in_a_value_stay() -> None:
    assert say("did you mean {names}?", names="{x}") == "did you mean {x}?"


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
        ("=1+1", "'=1+1"), ("+1+1", "'+1+1"), ("-1+1", "'-1+1"), ("@SUM(1)", "'@SUM(1)"), ("\t=1", "'?=1"),
        ("\uff1d1", "'\uff1d1"), ("-5.25", "-5.25"), ("+1e3", "+1e3"), ("1=1", "1=1"), ("", ""), ("a\x1b", "a?"),
    ],
)  # fmt: skip
def test_no_cell_is_a_formula_and_numbers_stay(text: str, cell: str) -> None:
    assert csv_cell(text) == cell
