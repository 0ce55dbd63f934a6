"""JSON Schemas of descriptions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest

from drivers.sdk.tables.limits import Limit, Number, Positive
from drivers.sdk.tables.schema import SchemaWriter


@dataclass(frozen=True, slots=True)
class Inner:
    from_: int


@dataclass(frozen=True, slots=True)
class Outer:
    number: Annotated[int, Limit(min=5, max=3600)]
    factor: Number = 1
    period_s: Positive = 2.5
    parity: Literal["N", "E"] = "N"
    name: Annotated[str, Limit(pattern="[a-z]+", means="letters")] = ""
    inner: Inner | None = None
    inners: Annotated[tuple[Inner, ...], Limit(min=1, max=3)] = ()
    named: Mapping[str, float] = field(default_factory=dict)
    hidden: int = field(default=0, metadata={"in_file": False})


TEXTS = {
    Inner: {"from": "start"},
    Outer: dict.fromkeys(["number", "factor", "period_s", "parity", "name", "inner", "inners", "named"], "text"),
}


def test_a_table_has_its_keys_and_what_is_required() -> None:
    schema = SchemaWriter(TEXTS).table(Outer)
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert schema["required"] == ["number"]
    assert schema["additionalProperties"] is False
    assert list(properties) == ["number", "factor", "period_s", "parity", "name", "inner", "inners", "named"]
    assert "additionalProperties" not in SchemaWriter(TEXTS, open=(Outer,)).table(Outer)


@pytest.mark.parametrize(
    ("key", "schema"),
    [
        ("number", {"type": "integer", "minimum": 5, "maximum": 3600}),
        ("factor", {"type": "number", "default": 1}),
        ("period_s", {"type": "number", "exclusiveMinimum": 0, "default": 2.5}),
        ("parity", {"enum": ["N", "E"], "default": "N"}),
        ("name", {"type": "string", "pattern": "^(?:[a-z]+)$", "default": ""}),
        ("named", {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "number"}}),
    ],
)
def test_a_value_has_its_type_and_bounds(key: str, schema: dict[str, object]) -> None:
    properties = SchemaWriter(TEXTS).table(Outer)["properties"]
    assert isinstance(properties, dict)
    found = properties[key]
    assert {name: value for name, value in found.items() if name != "description" and value != "a number"} == schema
    assert found["description"] == "text"


def test_a_key_that_is_a_word_of_python_loses_its_underscore() -> None:
    properties = SchemaWriter(TEXTS).table(Inner)["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == ["from"]


def test_a_key_without_a_text_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"Outer\.number"):
        SchemaWriter({}).table(Outer)
