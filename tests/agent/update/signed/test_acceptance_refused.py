"""Messages of config/desired that must not be taken, each with the one reason that is reported.

The names follow the attacks that TUF's client tests know (arbitrary, endless data, fast-forward, rollback, freeze, mix
and match, wrong role, threshold), and what parsers of JSON have been caught at.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agent.base.errors import RejectedError
from agent.base.timekeeping.trusted_time import TrustedTime, rfc_3339
from agent.update.signed.acceptance import Accepted, GatewayContext
from agent.update.signed.dsse import COMMAND_TYPE, TRUST_TYPE
from agent.update.signed.trust import encode_root
from agent.update.signed.version_mark import Mark
from tests.agent.update.signing_fakes import (
    CONFIG,
    DAY_MS,
    NOW_MS,
    document,
    envelope,
    message,
    outcome,
    refused,
    root,
    standing,
)

Vector = tuple[str, bytes, str, str]


def _envelope(change: Callable[[dict[str, Any]], object]) -> bytes:
    """A signed message that was changed on its way."""
    whole = json.loads(message())
    change(whole)
    return json.dumps(whole).encode()


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


BODY = json.dumps(document()).encode()
BAD_JSON: Mapping[str, tuple[bytes, str]] = {
    "empty": (b"", "malformed"),
    "blank": (b"  \n", "malformed"),
    "cut off": (BODY[:-1], "malformed"),
    "something behind it": (BODY + b"{}", "malformed"),
    "a byte order mark": (b"\xef\xbb\xbf" + BODY, "malformed"),
    "UTF-16": (BODY.decode().encode("utf-16"), "malformed"),
    "not UTF-8": (BODY.replace(b"batua", b"b\xe1tua"), "malformed"),
    "an overlong slash": (BODY.replace(b"//broker", b"\xc0\xafbroker"), "malformed"),
    "a number": (b"17", "malformed"),
    "a text": (b'"config"', "malformed"),
    "null": (b"null", "malformed"),
    "a list": (b"[" + BODY + b"]", "malformed"),
    "NaN": (BODY.replace(b": 18", b": NaN"), "malformed"),
    "Infinity": (BODY.replace(b": 18", b": Infinity"), "malformed"),
    "-Infinity": (BODY.replace(b": 18", b": -Infinity"), "malformed"),
    "1e999": (BODY.replace(b": 18", b": 1e999"), "malformed"),
    "an integer of 4000 digits": (BODY.replace(b": 18", b": " + b"9" * 4000), "malformed"),
    "an integer of 30000 digits": (BODY.replace(b": 18", b": " + b"9" * 30_000), "malformed"),
    "a hexadecimal number": (BODY.replace(b": 18", b": 0x12"), "malformed"),
    "a leading zero": (BODY.replace(b": 18", b": 018"), "malformed"),
    "half a character": (BODY.replace(b"air-1", b"\\ud800"), "malformed"),
    "half a character in a key": (BODY.replace(b'"port"', b'"\\udfff"'), "malformed"),
    "a control character": (BODY.replace(b"air-1", b"air\n1"), "malformed"),
    "a comment": (BODY + b"// hello", "malformed"),
    "single quotes": (BODY.replace(b'"', b"'"), "malformed"),
    "a trailing comma": (BODY[:-1] + b",}", "malformed"),
    "30000 brackets": (b"[" * 30_000, "malformed"),
    "30000 brackets that close": (b"[" * 15_000 + b"]" * 15_000, "malformed"),
    "20000 braces": (b'{"a":' * 6_000 + b"1" + b"}" * 6_000, "malformed"),
    "a version twice": (BODY[:-1] + b',"version":19}', "duplicate_keys"),
    "a key twice, once escaped": (BODY[:-1] + b',"\\u0076ersion":19}', "duplicate_keys"),
    "a key twice, deep inside": (
        BODY.replace(b'"interval_s": 10', b'"interval_s": 10, "interval_s": 1'),
        "duplicate_keys",
    ),
}

OF_JSON: list[Vector] = [
    *((f"payload: {name}", message(raw), code, "") for name, (raw, code) in BAD_JSON.items()),
    *(
        (f"envelope: {name}", raw, code, "")
        for name, (raw, code) in BAD_JSON.items()
        if "twice" not in name and "number" not in name
    ),
]

OF_THE_ENVELOPE: list[Vector] = [
    ("endless data", b'{"payload": "' + b"A" * 65_536, "too_large", ""),
    ("one byte too many", message() + b" " * (65_537 - len(message())), "too_large", ""),
    ("a key twice", message()[:-1] + b', "payload": ""}', "duplicate_keys", ""),
    ("no payload", _envelope(lambda whole: whole.pop("payload")), "malformed", "payload"),
    ("no type", _envelope(lambda whole: whole.pop("payloadType")), "malformed", "payloadType"),
    ("no signatures", _envelope(lambda whole: whole.pop("signatures")), "malformed", "signatures"),
    ("a type that is not a string", _envelope(lambda whole: whole.update(payloadType=1)), "malformed", "payloadType"),
    ("a payload that is not a string", _envelope(lambda whole: whole.update(payload={})), "malformed", "payload"),
    ("a payload of bare JSON", _envelope(lambda whole: whole.update(payload="{}")), "malformed", "payload"),
    (
        "base64 with a blank in it",
        _envelope(lambda whole: whole.update(payload=whole["payload"][:4] + " " + whole["payload"][4:])),
        "malformed",
        "payload",
    ),
    ("base64 without its padding", _envelope(lambda whole: whole.update(payload="YQ")), "malformed", "payload"),
    ("base64 beyond ASCII", _envelope(lambda whole: whole.update(payload="é" * 4)), "malformed", "payload"),
    (
        "signatures as a table",
        _envelope(lambda whole: whole.update(signatures={"ayu": "…"})),
        "malformed",
        "signatures",
    ),
    (
        "a signature that is a text",
        _envelope(lambda whole: whole.update(signatures=["ayu"])),
        "malformed",
        "signatures[0]",
    ),
    (
        "a signature without sig",
        _envelope(lambda whole: whole["signatures"][1].pop("sig")),
        "malformed",
        "signatures[1].sig",
    ),
    (
        "a key id that is a number",
        _envelope(lambda whole: whole["signatures"][0].update(keyid=1)),
        "malformed",
        "signatures[0]",
    ),
    (
        "a signature of 63 bytes",
        _envelope(lambda whole: whole["signatures"][0].update(sig="A" * 84)),
        "malformed",
        "signatures[0].sig",
    ),
    (
        "an empty signature",
        _envelope(lambda whole: whole["signatures"][0].update(sig="")),
        "malformed",
        "signatures[0].sig",
    ),
    ("17 signatures", message(signers=["ayu"] * 17), "malformed", "signatures"),
]

OF_THE_SIGNATURES: list[Vector] = [
    ("unsigned", message(signers=()), "unsigned", ""),
    ("arbitrary: another's key", message(signers=("mallory",)), "wrong_key", ""),
    ("arbitrary: many others' keys", message(signers=("mallory", "trudy", "eve")), "wrong_key", ""),
    ("the key of another role", message(signers=("eka", "eka")), "wrong_key", ""),
    ("below the threshold", message(signers=("ayu",)), "threshold", ""),
    ("one good key and one of another's", message(signers=("ayu", "mallory")), "threshold", ""),
    ("one good key and one of another role", message(signers=("citra", "eka")), "threshold", ""),
    ("the same key twice", message(signers=("ayu", "ayu")), "same_key", ""),
    ("the same key sixteen times", message(signers=("budi",) * 16), "same_key", ""),
    (
        "the same key under other names",
        _envelope(
            lambda whole: whole.update(
                signatures=[{**whole["signatures"][0], "keyid": name} for name in ("ayu", "budi", "citra")]
            )
        ),
        "same_key",
        "",
    ),
    (
        "the payload changed",
        _envelope(lambda whole: whole.update(payload=json.loads(message(document(version=19)))["payload"])),
        "wrong_key",
        "",
    ),
    ("the type changed", _envelope(lambda whole: whole.update(payloadType=COMMAND_TYPE)), "wrong_key", ""),
    (
        "signatures of another document",
        _envelope(lambda whole: whole.update(signatures=json.loads(message(document(version=17)))["signatures"])),
        "wrong_key",
        "",
    ),
    (
        "a signature of zeros",
        _envelope(lambda whole: [one.update(sig="A" * 86 + "==") for one in whole["signatures"]]),
        "wrong_key",
        "",
    ),
    (
        "one signature changed by a bit",
        _envelope(
            lambda whole: whole["signatures"][0].update(
                sig=("B" if whole["signatures"][0]["sig"][0] == "A" else "A") + whole["signatures"][0]["sig"][1:]
            )
        ),
        "threshold",
        "",
    ),
    (
        "both with their signatures exchanged for one",
        _envelope(lambda whole: whole["signatures"].pop()),
        "threshold",
        "",
    ),
    ("signed as a command", json.dumps(envelope(BODY, ("ayu", "budi"), COMMAND_TYPE)).encode(), "type", "payloadType"),
    ("signed as a root", json.dumps(envelope(BODY, ("ayu", "budi"), TRUST_TYPE)).encode(), "type", "payloadType"),
    ("signed without a type", json.dumps(envelope(BODY, ("ayu", "budi"), "")).encode(), "type", "payloadType"),
    (
        "signed as another version of the type",
        json.dumps(envelope(BODY, ("ayu", "budi"), "application/vnd.gardu.config.v2+json")).encode(),
        "type",
        "payloadType",
    ),
    (
        "a command's type, called a configuration",
        json.dumps(envelope(BODY, ("ayu", "budi"), signed_kind=COMMAND_TYPE)).encode(),
        "wrong_key",
        "",
    ),
    (
        "a root, sent as a configuration",
        json.dumps(envelope(encode_root(root()), ("ayu", "budi"), TRUST_TYPE)).encode(),
        "type",
        "payloadType",
    ),
]

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

VECTORS = [*OF_JSON, *OF_THE_ENVELOPE, *OF_THE_SIGNATURES, *OF_THE_DOCUMENT, *OF_THE_CONFIGURATION]


@pytest.mark.parametrize(("raw", "code", "path"), [pytest.param(*one[1:], id=one[0]) for one in VECTORS])
def test_it_is_refused_with_its_own_code(raw: bytes, code: str, path: str) -> None:
    assert refused(raw) == (code, path)


def test_there_are_many_vectors_and_each_is_its_own() -> None:
    assert len(VECTORS) >= 120
    assert len({name for name, *_ in VECTORS}) == len(VECTORS)
    assert len({raw for _, raw, *_ in VECTORS}) >= len(VECTORS) - 5


def test_what_the_vectors_are_made_of_is_good() -> None:
    assert isinstance(outcome(message(BODY)), Accepted)


def test_a_gateway_that_trusts_nobody_takes_nothing() -> None:
    assert refused(message(), standing(trust=None)) == ("no_trust", "")


def test_a_floor_is_where_versions_begin_again() -> None:
    floored = standing(mark=Mark(17, "", root=2))
    assert refused(message(document(version=17)), floored) == ("rollback", "version")
    assert refused(message(document(version=18)), floored) == ("", "")


ORDER: list[tuple[str, Callable[[], bytes], GatewayContext]] = [
    ("too_large", lambda: b"[" * 65_537, standing()),
    ("malformed", lambda: b"[]", standing()),
    ("wrong_key", lambda: json.dumps(envelope(b"{}{", ("mallory",), TRUST_TYPE)).encode(), standing()),
    ("type", lambda: json.dumps(envelope(b"{}{", ("ayu", "budi"), TRUST_TYPE)).encode(), standing()),
    ("duplicate_keys", lambda: message(b'{"target": 1, "target": 2}'), standing()),
    ("target", lambda: message(_all_wrong(target={"gateways": ["kima-02"]})), standing()),
    ("rollback", lambda: message(_all_wrong(version=3)), standing()),
    ("expired", lambda: message(_all_wrong()), standing()),
    ("min_agent", lambda: message(_all_wrong(expires=document()["expires"])), standing()),
    ("local_key", lambda: message(_all_wrong(expires=document()["expires"], min_agent="0.1")), standing()),
    ("schema", lambda: message(document(config=_wrong_config())), standing()),
    ("driver_unknown", lambda: message(document(config={**_wrong_config(), "publish": {}})), standing()),
]


def _wrong_config() -> dict[str, Any]:
    sensors = [{"id": "a", "driver": "dust"}, {"id": "b", "driver": "ghost"}]
    return {"broker": CONFIG["broker"], "sensor": sensors, "publish": {"max_rows": 0}}


def _all_wrong(**changes: Any) -> dict[str, Any]:
    """A document at which everything after a step of the checks is wrong."""
    expired = {"issued": rfc_3339(NOW_MS - 9 * DAY_MS), "expires": rfc_3339(NOW_MS - 8 * DAY_MS)}
    wrong = {**_wrong_config(), "store": {}}
    return document(**{**expired, "min_agent": "9.0", "config": wrong, **changes})


@pytest.mark.parametrize(("code", "raw", "at"), [pytest.param(*one, id=one[0]) for one in ORDER])
def test_the_first_thing_wrong_is_what_is_reported(code: str, raw: Callable[[], bytes], at: GatewayContext) -> None:
    assert refused(raw(), at)[0] == code


def test_a_refusal_says_in_one_line_what_is_wrong() -> None:
    for _, raw, *_ in VECTORS:
        with pytest.raises(RejectedError) as caught:
            outcome(raw)
        assert caught.value.message
        assert "\n" not in caught.value.message
        assert len(caught.value.message) < 400


def test_an_old_clock_revives_nothing() -> None:
    """C08: what is behind the lower bound stays expired, whatever the clock shows."""
    dead = message(document(issued=rfc_3339(NOW_MS - 9 * DAY_MS), expires=rfc_3339(NOW_MS - 1000)))
    for is_set in (True, False):
        assert refused(dead, standing(trusted_time=TrustedTime(NOW_MS - 5 * DAY_MS, is_set, NOW_MS)))[0] == "expired"
