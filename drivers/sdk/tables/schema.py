"""JSON Schemas (2020-12) of descriptions of tables. The agent does not load this.

They know keys, types and bounds. What lies between keys, and what a driver declares, only ``gardu check`` knows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, is_dataclass
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from drivers.sdk.tables.description import KeyTexts, text_of
from drivers.sdk.tables.limits import MAX_NUMBER, NO_LIMIT, Limit
from drivers.sdk.tables.reader import keys_of
from drivers.sdk.tables.words import unwrap

Schema = dict[str, object]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: Mapping[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class SchemaWriter:
    """Writes the schemas of descriptions. ``open``: tables that may have keys which the schema does not know."""

    texts: KeyTexts
    open: Collection[type] = ()

    def table(self, *kinds: type) -> Schema:
        """Return the schema of a table, which several descriptions may describe together."""
        properties: Schema = {}
        required: list[str] = []
        for kind in kinds:
            for key, item in keys_of(kind).items():
                text = {"description": text_of(self.texts, kind, key)}
                properties[key] = self.value(item.type) | _default(item) | text
                if item.default is item.default_factory is MISSING:
                    required.append(key)
        schema: Schema = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        if not set(kinds) & set(self.open):
            schema["additionalProperties"] = False
        return schema

    def value(self, hint: object, limit: Limit = NO_LIMIT) -> Schema:
        """Return the schema of a value."""
        hint, limit = unwrap(hint, limit)
        origin = get_origin(hint)
        if origin is Literal or limit.choices:
            return {"enum": list(limit.choices or get_args(hint))}
        if origin in (Union, UnionType):
            return self._union([part for part in get_args(hint) if part is not type(None)], limit)
        if isinstance(hint, type) and is_dataclass(hint):
            return self.table(hint)
        if origin is tuple:
            items = {"type": "array", "items": self.value(get_args(hint)[0])}
            return items | _without_none(minItems=limit.min, maxItems=limit.max)
        if origin is not None:
            names, values = (self.value(part) for part in get_args(hint))
            mapping: Schema = {"type": "object", "propertyNames": names, "additionalProperties": values}
            return mapping | _without_none(maxProperties=limit.max)
        return {"type": _TYPES[hint]} | _bounds(limit)

    def _union(self, parts: Sequence[object], limit: Limit) -> Schema:
        if float in parts:
            parts = [part for part in parts if part is not int]
        schemas = [self.value(part, limit) for part in parts]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _bounds(limit: Limit) -> Schema:
    high = None if limit.max == MAX_NUMBER else limit.max
    low = None if limit.min == -MAX_NUMBER else limit.min
    pattern = f"^(?:{limit.pattern})$" if limit.pattern else None
    return _without_none(
        minimum=low, maximum=high, exclusiveMinimum=limit.above, pattern=pattern, description=limit.means or None
    )


def _without_none(**values: object) -> Schema:
    return {key: value for key, value in values.items() if value is not None}


def _default(item: Field[object]) -> Schema:
    if isinstance(item.default, str | int | float):
        return {"default": item.default}
    return {}
