"""Documents that are signed as they must be, and refused for what they say."""

import json
from typing import Any

from agent.base.timekeeping.trusted_time import rfc_3339
from tests.agent.update.signed.refused_messages import Vector
from tests.agent.update.signing_fakes import (
    CONFIG,
    DAY_MS,
    NOW_MS,
    document,
    message,
)


def _with_config(**tables: Any) -> bytes:
    return message(document(config={**CONFIG, **tables}))


def _with_sensor(**keys: Any) -> bytes:
    sensor = {"id": "air-1", "driver": "dust", "port": "/dev/ttyUSB0", **keys}
    return _with_config(sensor=[{name: value for name, value in sensor.items() if value is not ...}])


def _text(before: str, after: str) -> bytes:
    """A good document with its text changed, and signed like that."""
    text = json.dumps(document())
    assert before in text
    return message(text.replace(before, after).encode())


OF_THE_DOCUMENT: list[Vector] = [
    *(
        (f"no {name}", message(document(**{name: ...})), "malformed", name)
        for name in ("target", "version", "issued", "expires", "config")
    ),
    ("a key beside the others", message(document(priority=1)), "malformed", "priority"),
    ("keys of its maintainers", message(document(keys=["ayu"])), "malformed", "keys"),
    ("a version in quotes", message(document(version="18")), "malformed", "version"),
    ("a version with a point", message(document(version=18.0)), "malformed", "version"),
    ("a version that is true", message(document(version=True)), "malformed", "version"),
    ("version 0", message(document(version=0)), "malformed", "version"),
    ("a version below 0", message(document(version=-1)), "malformed", "version"),
    ("no configuration but a list", message(document(config=[])), "malformed", "config"),
    ("a trial of no time", message(document(confirm_s=0)), "malformed", "confirm_s"),
    ("a trial of two days", message(document(confirm_s=172_800)), "malformed", "confirm_s"),
    ("a trial that is true", message(document(confirm_s=True)), "malformed", "confirm_s"),
    ("a release that is none", message(document(min_agent="newest")), "malformed", "min_agent"),
    ("a release that is a number", message(document(min_agent=0.4)), "malformed", "min_agent"),
    ("a release of a million digits", message(document(min_agent="1" * 20_000 + ".0")), "malformed", "min_agent"),
    *(
        (f"issued: {text}", message(document(issued=text)), "malformed", "issued")
        for text in (
            "",
            "yesterday",
            "2026-11-24",
            "2026-11-24T05:00:00",
            "2026-13-24T05:00:00Z",
            "2026-11-24T25:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-11-24 05:00:00Z",
            "٢٠٢٦-11-24T05:00:00Z",
            1_795_488_000,
        )
    ),
    ("expires is a number", message(document(expires=1_795_488_000)), "malformed", "expires"),
    ("for another gateway", message(document(target={"gateways": ["kima-02"]})), "target", "target.gateways"),
    (
        "for a name that begins alike",
        message(document(target={"gateways": ["batua-010"]})),
        "target",
        "target.gateways",
    ),
    ("for everyone", message(document(target={"gateways": ["*"]})), "target", "target.gateways[0]"),
    (
        "for everyone and this one",
        message(document(target={"gateways": ["batua-01", "*"]})),
        "target",
        "target.gateways[1]",
    ),
    ("for a name in capitals", message(document(target={"gateways": ["BATUA-01"]})), "target", "target.gateways[0]"),
    ("for nobody", message(document(target={"gateways": []})), "target", "target"),
    ("for a text", message(document(target={"gateways": "batua-01"})), "target", "target"),
    ("for a group", message(document(target={"groups": ["clinics"]})), "target", "target"),
    ("for a group as well", message(document(target={"gateways": ["batua-01"], "groups": ["x"]})), "target", "target"),
    ("for a list", message(document(target=["batua-01"])), "target", "target"),
    ("for null", message(document(target={"gateways": [None]})), "target", "target.gateways[0]"),
    ("replay: the version before", message(document(version=16)), "rollback", "version"),
    ("replay: the first version", message(document(version=1)), "rollback", "version"),
    ("equivocation: this version, other content", message(document(version=17)), "equivocation", "version"),
    ("fast-forward: one too far", message(document(version=1_000_018)), "jump", "version"),
    ("fast-forward: the largest", message(document(version=2**63 - 1)), "jump", "version"),
    ("fast-forward: beyond 64 bits", _text(": 18", f": {2**64}"), "malformed", ""),
    ("freeze: expired by a second", message(document(expires=rfc_3339(NOW_MS - 1000))), "expired", "expires"),
    ("freeze: expires now", message(document(expires=rfc_3339(NOW_MS))), "expired", "expires"),
    ("issued in two days", message(document(issued=rfc_3339(NOW_MS + 2 * DAY_MS))), "issued", "issued"),
    (
        "issued in the year 9999",
        message(document(issued="9999-01-01T00:00:00Z", expires="9999-12-31T00:00:00Z")),
        "issued",
        "issued",
    ),
    ("valid for a thousand years", message(document(expires="3026-01-01T00:00:00Z")), "issued", "issued"),
    (
        "expires before it is issued",
        message(document(issued=rfc_3339(NOW_MS), expires=rfc_3339(NOW_MS - 1000))),
        "issued",
        "issued",
    ),
    ("for a newer agent", message(document(min_agent="0.4.1")), "min_agent", "min_agent"),
    ("for a much newer agent", message(document(min_agent="1.0")), "min_agent", "min_agent"),
]

OF_THE_CONFIGURATION: list[Vector] = [
    *(
        (f"local: {name}", _with_config(**{name: {}}), "local_key", name)
        for name in ("gateway", "store", "web", "privacy", "commands")
    ),
    *(
        (
            f"local: {name}",
            _with_config(broker={**CONFIG["broker"], name: "/etc/shadow"}),
            "local_key",
            f"broker.{name}",
        )
        for name in ("password_file", "ca_file", "cert_file", "key_file", "password", "token", "proxy_file")
    ),
    (
        "local: another's name",
        _with_config(gateway={"id": "kima-02", "site": "kima", "sector": "health"}),
        "local_key",
        "gateway",
    ),
    (
        "local: commands allowed",
        _with_config(commands={"allow": ["restart"], "signed": False}),
        "local_key",
        "commands",
    ),
    ("local: a path of a sensor", _with_sensor(path="/etc/shadow"), "local_key", "sensor.air-1.path"),
    ("local: a secret of a sensor", _with_sensor(token_file="/etc/shadow"), "local_key", "sensor.air-1.token_file"),
    ("no broker", message(document(config={"sensor": []})), "schema", "broker.url"),
    ("an empty configuration", message(document(config={})), "schema", "broker.url"),
    ("a broker that is a list", _with_config(broker=[]), "schema", "broker"),
    ("a broker of another protocol", _with_config(broker={"url": "https://broker.example"}), "schema", "broker.url"),
    ("a password in the address", _with_config(broker={"url": "mqtts://a:b@broker.example"}), "schema", "broker.url"),
    ("a table that nobody knows", _with_config(update={}), "schema", "update"),
    ("a key that nobody knows", _with_config(publish={"speed": 1}), "schema", "publish.speed"),
    ("a code to load", _with_sensor(module="os"), "schema", "sensor.air-1.module"),
    ("a number out of range", _with_config(publish={"max_rows": 0}), "schema", "publish.max_rows"),
    (
        "a number beyond 63 bits",
        _with_config(publish={"budget_bytes_per_day": 2**63}),
        "schema",
        "publish.budget_bytes_per_day",
    ),
    ("a number in quotes", _with_config(publish={"max_rows": "250"}), "schema", "publish.max_rows"),
    ("a sensor that is null", _with_config(sensor=[None]), "schema", "sensor"),
    ("sensors as a table", _with_config(sensor={"id": "air-1"}), "schema", "sensor"),
    ("a sensor without a name", _with_sensor(id=...), "schema", "sensor[0].id"),
    ("a sensor whose name is a topic", _with_sensor(id="a/b"), "schema", "sensor[0].id"),
    ("a sensor without a driver", _with_sensor(driver=...), "schema", "sensor.air-1.driver"),
    ("a key of the driver out of range", _with_sensor(angle_deg=91), "schema", "sensor.air-1.angle_deg"),
    ("an unknown driver", _with_sensor(driver="ghost"), "driver_unknown", "sensor.air-1.driver"),
    ("a driver that cannot be loaded", _with_sensor(driver="torn"), "driver_unknown", "sensor.air-1.driver"),
    ("a driver that is a path", _with_sensor(driver="../../evil"), "driver_unknown", "sensor.air-1.driver"),
    ("no port", _with_sensor(port=...), "device_impossible", "sensor.air-1.port"),
    (
        "a bus that is not there",
        _with_sensor(driver="meter", port=..., bus="rs485-9"),
        "device_impossible",
        "sensor.air-1.bus",
    ),
    (
        "two sensors of one name",
        _with_config(sensor=[*CONFIG["sensor"], {**CONFIG["sensor"][0], "port": "/dev/ttyUSB1"}]),
        "device_impossible",
        "sensor[1].id",
    ),
    (
        "two sensors on one port",
        _with_config(sensor=[*CONFIG["sensor"], {**CONFIG["sensor"][0], "id": "air-2"}]),
        "device_impossible",
        "sensor.air-2.port",
    ),
    (
        "an alarm of no sensor",
        _with_config(alarm=[{"id": "bad", "sensor": "fog", "field": "pm10", "above": 1}]),
        "device_impossible",
        "alarm.bad.sensor",
    ),
    ("a clock that is not there", _with_config(clock={"source": "gnss-1"}), "device_impossible", "clock.source"),
]
