"""Values of a file in words."""

from datetime import date

import pytest

from drivers.sdk.tables.words import shown


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (date(2026, 11, 24), "a date or time"),
        (True, "true"),
        (1.50, "1.5"),
        ({}, "a table"),
        ("mqtt://ani:secret@broker", '"mqtt://...@broker"'),
        ("a\nb", '"a?b"'),
    ],
)
def test_a_value_is_shown_as_a_person_wrote_it_and_without_its_password(value: object, words: str) -> None:
    assert shown(value) == words
