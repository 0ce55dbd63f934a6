"""Arguments are parsed strictly, each by its declared type."""

import json

import pytest

from agent.commands.arguments import ArgumentType, parse_arguments

NOT_TEXT = "x is missing or not a string"
NOT_INTEGER = "x is missing or not an integer from 0 to 2^53"
NOT_SWITCH = "x must be 0 or 1"
NOT_ENVELOPE = "x is missing or not an envelope"


def parsed(kind: ArgumentType, value: object) -> object:
    return parse_arguments({"x": kind}, {"x": value, "other": 1})["x"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (ArgumentType.TEXT, "a" * 1000, "a" * 1000),
        (ArgumentType.NAME, "telemetry/a", "telemetry/a"),
        (ArgumentType.NAME, "a" * 64, "a" * 64),
        (ArgumentType.INTEGER, 0, 0),
        (ArgumentType.INTEGER, 2**53, 2**53),
        (ArgumentType.SWITCH, 0, False),
        (ArgumentType.SWITCH, 1, True),
        (ArgumentType.SWITCH, False, False),
        (ArgumentType.SWITCH, True, True),
        (ArgumentType.ENVELOPE, '{"a": 1}', b'{"a": 1}'),
    ],
)
def test_a_good_value_is_parsed(kind: ArgumentType, value: object, expected: object) -> None:
    result = parsed(kind, value)
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        *((ArgumentType.TEXT, value, NOT_TEXT) for value in (None, "", 7, ["a"])),
        *((ArgumentType.NAME, value, NOT_TEXT) for value in (None, "", 7)),
        *((ArgumentType.NAME, value, "x is not a valid name") for value in ("a" * 65, "a\n", "\ud800")),
        *((ArgumentType.INTEGER, value, NOT_INTEGER) for value in (None, -1, 2**53 + 1, True, 1.0, "1")),
        *((ArgumentType.SWITCH, value, NOT_SWITCH) for value in (None, 2, -1, 0.5, 1.0, "1", [1], {})),
        *((ArgumentType.ENVELOPE, value, NOT_ENVELOPE) for value in (None, "", 7, [1])),
    ],
)
def test_a_bad_value_raises_one_sentence(kind: ArgumentType, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message.replace('^', '.')}$"):
        parsed(kind, value)


def test_an_envelope_may_be_an_object() -> None:
    result = parsed(ArgumentType.ENVELOPE, {"a": 1})
    assert isinstance(result, bytes)
    assert json.loads(result) == {"a": 1}


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(ValueError, match=r"^sensor is missing"):
        parse_arguments({"sensor": ArgumentType.NAME}, {})
