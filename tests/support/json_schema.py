"""A validator for the keywords of JSON Schema that the project's schemas use. It refuses any other keyword."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_ANNOTATIONS = {"$schema", "title", "description", "default", "properties"}


def errors(schema: Schema, value: object, path: str = "$") -> Iterator[str]:
    """Yield a line for each place where the value does not fit the schema."""
    for keyword, wanted in schema.items():
        if keyword in _CHECKS:
            if not _CHECKS[keyword](value, wanted):
                yield f"{path}: {value!r} against {keyword} {wanted!r}"
        elif keyword in ("anyOf", "oneOf"):
            fitting = [part for part in wanted if not list(errors(part, value))]
            if not fitting or (keyword == "oneOf" and len(fitting) > 1):
                yield f"{path}: fits {len(fitting)} of {keyword}"
        elif keyword == "items":
            for at, item in enumerate(value if isinstance(value, list) else []):
                yield from errors(wanted, item, f"{path}[{at}]")
        elif keyword in ("additionalProperties", "propertyNames"):
            yield from _keys(schema, keyword, value, path)
        elif keyword not in _ANNOTATIONS:
            raise AssertionError(f"the validator does not know {keyword}")
    for key, inner in schema.get("properties", {}).items():
        if isinstance(value, dict) and key in value:
            yield from errors(inner, value[key], f"{path}.{key}")


def _keys(schema: Schema, keyword: str, value: object, path: str) -> Iterator[str]:
    for key, item in value.items() if isinstance(value, dict) else ():
        if keyword == "propertyNames":
            yield from errors(schema[keyword], key, f"{path}.{key}")
        elif key not in schema.get("properties", {}):
            if schema[keyword] is False:
                yield f"{path}.{key}: unknown"
            else:
                yield from errors(schema[keyword], item, f"{path}.{key}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_CHECKS: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": lambda value, wanted: (
        isinstance(value, _TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
    ),
    "enum": lambda value, wanted: any(value == choice and type(value) is type(choice) for choice in wanted),
    "const": lambda value, wanted: bool(value == wanted),
    "pattern": lambda value, wanted: not isinstance(value, str) or re.search(wanted, value) is not None,
    "minimum": lambda value, wanted: not _is_number(value) or value >= wanted,
    "maximum": lambda value, wanted: not _is_number(value) or value <= wanted,
    "exclusiveMinimum": lambda value, wanted: not _is_number(value) or value > wanted,
    "minItems": lambda value, wanted: not isinstance(value, list) or len(value) >= wanted,
    "maxItems": lambda value, wanted: not isinstance(value, list) or len(value) <= wanted,
    "maxProperties": lambda value, wanted: not isinstance(value, dict) or len(value) <= wanted,
    "required": lambda value, wanted: not isinstance(value, dict) or all(key in value for key in wanted),
}
