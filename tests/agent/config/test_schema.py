"""The JSON Schema in config/ is the one that the types give."""

import json
from pathlib import Path

from agent.config.schema import json_schema

ROOT = Path(__file__).parents[3]


def test_the_schema_file_is_not_stale() -> None:
    stored = json.loads((ROOT / "config" / "gardu.schema.json").read_text(encoding="utf-8"))
    assert stored == json_schema(), "python -m agent.config.schema > config/gardu.schema.json"


def test_the_schema_knows_bounds_choices_and_what_must_be_there() -> None:
    schema = json_schema()
    assert schema["required"] == ["gateway", "broker"]
    tables = schema["properties"]
    assert isinstance(tables, dict)
    assert tables["gateway"]["properties"]["sector"] == {"enum": ["health", "security", "mobility"]}
    assert tables["broker"]["properties"]["keepalive_s"] == {
        "type": "integer",
        "minimum": 5,
        "maximum": 3600,
        "default": 60,
    }


def test_only_a_sensor_may_have_keys_that_the_schema_does_not_know() -> None:
    tables = json_schema()["properties"]
    assert isinstance(tables, dict)
    assert "additionalProperties" not in tables["sensor"]["items"]
    assert "options" not in tables["sensor"]["items"]["properties"]
    assert tables["store"]["additionalProperties"] is False
