"""What fails unexpectedly is refused alone, and told once."""

import logging

import pytest

from agent.base.errors import INTERNAL_ERROR
from agent.base.guard import guarded


def test_an_error_is_told_once_for_each_place_and_passes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            with guarded("a test"):
                raise ZeroDivisionError
        with guarded("a test"):
            pass
    assert [record.__dict__["code"] for record in caplog.records] == [INTERNAL_ERROR]
    assert "a test" in caplog.text


def test_what_ends_the_program_passes() -> None:
    with pytest.raises(KeyboardInterrupt), guarded("a test"):
        raise KeyboardInterrupt
