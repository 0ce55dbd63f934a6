"""Messages in two languages: every one is translated, and nothing else is."""

import argparse
import ast
import gettext
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import polib
import pytest

from agent.base.i18n import _, choose_language
from tests.support.syntax import tree

ROOT = Path(__file__).parents[3]
CATALOG = ROOT / "agent" / "locale" / "id" / "LC_MESSAGES" / "gardu.po"
ENTRIES = polib.pofile(str(CATALOG))
ARGPARSE = {entry.msgid: entry.msgstr for entry in ENTRIES if entry.comment == "argparse"}
INDONESIAN = {entry.msgid: entry.msgstr for entry in ENTRIES if entry.comment != "argparse"}


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    yield
    choose_language({})


WORDS = {("Limit", "means")}
"""Keyword arguments that are translated by themselves before they stand in a message."""


def _messages(parsed: ast.AST) -> Iterator[str]:
    """The messages of a module, and words that stand in them."""
    for node in ast.walk(parsed):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        given = [word.value for word in node.keywords if (name, word.arg) in WORDS]
        if name == "_":
            given += node.args[:1]
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def _written() -> set[str]:
    return {
        message
        for package in ("agent", "drivers")
        for file in (ROOT / package).rglob("*.py")
        for message in _messages(tree(file))
    }


def _placeholders(message: str) -> list[tuple[str, str | None, str | None]]:
    return sorted((name, form, turn) for _text, name, form, turn in Formatter().parse(message) if name)


def test_every_message_is_translated() -> None:
    assert sorted(_written() - INDONESIAN.keys()) == []


def test_every_translation_is_used() -> None:
    assert sorted(INDONESIAN.keys() - _written()) == []


def test_what_argparse_says_is_its_own() -> None:
    """Words that no argparse knows would be translated for nothing. Each Python has words of its own."""
    source = inspect.getsource(argparse)
    known = [message for message in ARGPARSE if message.strip().split("%")[0][:20].strip(" '") in source]
    assert len(known) > 10


def test_the_compiled_catalog_is_that_of_today() -> None:
    """If this fails: run .ci/setup."""
    with CATALOG.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert {message: compiled.gettext(message) for message in INDONESIAN} == INDONESIAN


@pytest.mark.parametrize("english", sorted(INDONESIAN))
def test_a_translation_has_the_same_placeholders(english: str) -> None:
    assert _placeholders(INDONESIAN[english]) == _placeholders(english)


def _fillings() -> Iterator[tuple[str, set[str], set[str]]]:
    """Where a message is filled in: the place, its placeholders, and what they are given."""
    for file in (*(ROOT / "agent").rglob("*.py"), *(ROOT / "drivers").rglob("*.py")):
        for node in ast.walk(tree(file)):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Call(func=ast.Name(id="_"), args=[ast.Constant(value=str(message))]), attr="format"
                    ),
                    keywords=given,
                ):
                    names = {name for _text, name, _form, _turn in Formatter().parse(message) if name}
                    yield f"{file.name}:{node.lineno}", names, {word.arg or "**" for word in given}


def test_every_placeholder_is_filled_in() -> None:
    places = list(_fillings())
    assert len(places) > 300
    assert [place for place, names, given in places if names != given and "**" not in given] == []


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


def test_a_message_is_shown_in_the_chosen_language() -> None:
    choose_language({"LANG": "id_ID.UTF-8"})
    assert _("at most {count} bytes").format(count=3) == "maksimal 3 byte"
    choose_language({})
    assert _("at most {count} bytes").format(count=3) == "at most 3 bytes"


@pytest.mark.parametrize("command", ["", "run", "listen", "config sign", "fleet push", "trust create", "command"])
def test_help_is_indonesian_from_the_first_word_to_the_last(command: str) -> None:
    words = [sys.executable, "-m", "agent", *command.split(), "--help"]
    shown = subprocess.run(
        words, capture_output=True, text=True, check=True, env={**os.environ, "LANG": "id_ID.UTF-8", "LC_ALL": ""}
    ).stdout
    assert shown.startswith("pemakaian: gardu")
    english = {"usage", "options", "positional", "arguments", "show", "this", "help", "message", "and", "the", "exit"}
    assert english.isdisjoint(shown.lower().replace(":", " ").replace(",", " ").split())


@pytest.mark.parametrize("wrong", ["bita", "tersambung", "berkas", "bacaan", "sekurangnya", "akar "])
def test_one_word_for_each_thing(wrong: str) -> None:
    assert [text for text in INDONESIAN.values() if wrong in text] == []
