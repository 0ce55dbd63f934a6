"""The JSON Schema of ``gardu.toml``, made from the same types that read it.

``python -m agent.config.schema`` prints it; editors use it for completion. It knows keys, types and bounds;
what stands between keys, and what a driver declares, only ``gardu check`` knows.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, is_dataclass
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from agent.config.settings import Config, Sensor
from drivers.sdk.tables.limits import Limit
from drivers.sdk.tables.reader import keys_of
from drivers.sdk.tables.words import unwrap

Schema = dict[str, object]

_TYPES: Mapping[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def json_schema() -> Schema:
    """The schema of the whole file, in the 2020-12 dialect."""
    head: Schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gardu.toml"}
    return head | _table(Config)


def _table(kind: type) -> Schema:
    hints = {name: item.type for name, item in keys_of(kind).items()}
    keys = keys_of(kind)
    schema: Schema = {
        "type": "object",
        "properties": {name: _schema(hints[name]) | _default(item) for name, item in keys.items()},
    }
    required = [name for name, item in keys.items() if item.default is item.default_factory is MISSING]
    if required:
        schema["required"] = required
    if kind is not Sensor:  # a sensor may have keys of its driver's own
        schema["additionalProperties"] = False
    return schema


def _schema(hint: object) -> Schema:
    hint, limit = unwrap(hint)
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        parts = [_schema(part) for part in get_args(hint) if part is not type(None)]
        return parts[0] if len(parts) == 1 else {"anyOf": parts}
    if origin is Literal:
        return {"enum": list(get_args(hint))}
    if isinstance(hint, type) and is_dataclass(hint):
        return _table(hint)
    if origin is tuple:
        return {"type": "array", "items": _schema(get_args(hint)[0])}
    if origin is not None:
        names, values = (_schema(part) for part in get_args(hint))
        return {"type": "object", "propertyNames": names, "additionalProperties": values}
    return {"type": _TYPES[hint]} | _bounds(limit)


def _bounds(limit: Limit) -> Schema:
    bounds: Schema = {"minimum": limit.min, "maximum": limit.max}
    if limit.pattern:
        bounds["pattern"] = f"^(?:{limit.pattern})$"
    if limit.means:
        bounds["description"] = limit.means
    return {key: bound for key, bound in bounds.items() if bound is not None}


def _default(item: Field[object]) -> Schema:
    if isinstance(item.default, str | int | float):
        return {"default": item.default}
    return {}


def main() -> None:
    """Print the schema, as it stands in ``config/gardu.schema.json``."""
    import json

    print(json.dumps(json_schema(), indent=2))


if __name__ == "__main__":
    main()
