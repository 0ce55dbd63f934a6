"""Builds what ``meta`` says about the sensors of a configuration. No I/O."""

from collections.abc import Mapping
from typing import Any

from agent.config.settings import Config
from agent.sensing.privacy import published_fields
from drivers.sdk.contract import Driver, Field


def sensors(config: Config, drivers: Mapping[str, Driver], own: Mapping[str, Field], agent: str) -> dict[str, Any]:
    """Return the ``sensors`` object: the configured sensors, and ``agent``, the agent's own, with the fields ``own``.

    ``drivers``: by sensor id. Fields are described as published: fields dropped for privacy are omitted.
    """
    described: dict[str, Any] = {}
    for sensor in config.sensor:
        entry: dict[str, Any] = {"driver": sensor.driver}
        if sensor.label:
            entry["label"] = sensor.label
        fields = drivers[sensor.id].fields
        entry["fields"] = _fields(published_fields(fields, config.privacy.identifiers, sensor.personal))
        described[sensor.id] = entry
    described[agent] = {"driver": "agent", "fields": _fields(own)}
    return described


def _fields(fields: Mapping[str, Field]) -> dict[str, Any]:
    return {name: _field(field) for name, field in fields.items()}


def _field(field: Field) -> dict[str, Any]:
    entry: dict[str, Any] = {"unit": field.unit} if field.unit else {}
    entry["kind"] = field.kind
    for name in ("resolution", "min", "max"):
        value = getattr(field, name)
        if value is not None:
            entry[name] = value
    return entry


def site(config: Config) -> dict[str, Any]:
    """Return the ``site`` object."""
    gateway = config.gateway
    place = {"name": gateway.name or gateway.site, "lat": gateway.lat, "lon": gateway.lon}
    return {name: value for name, value in place.items() if value is not None} | {"timezone": gateway.timezone}
