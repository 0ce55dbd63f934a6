"""Messages whose JSON, envelope or signatures are refused, each with the one reason that is reported."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from agent.update.signed.dsse import COMMAND_TYPE, TRUST_TYPE
from agent.update.signed.trust import encode_root
from tests.agent.update.signing_fakes import (
    document,
    envelope,
    message,
    root,
)

Vector = tuple[str, bytes, str, str]


def _envelope(change: Callable[[dict[str, Any]], object]) -> bytes:
    """A signed message that was changed on its way."""
    whole = json.loads(message())
    change(whole)
    return json.dumps(whole).encode()


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
