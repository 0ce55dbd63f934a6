"""Real messages, bent: values that no schema expects, in places that no test names."""

import json
import random
from collections.abc import Iterator
from typing import Any

ODD_TEXTS = (
    r'"\ud800"',
    r'"\udfff\ud800"',
    r'"a\ud9ab"',
    r'"\udc00b"',
    r'"\u0000"',
    r'"\u202e\u001b[31mx"',
    '"=1+1"',
    '""',
    '"' + "x" * 5000 + '"',
    '"../../etc/passwd"',
    '"#"',
    '"+/+"',
    '"(a+)+b"',
    '"/dev/null"',
)
ODD_NUMBERS = (
    "1e999",
    "NaN",
    "-Infinity",
    "9" * 400,
    "9007199254740993",
    "18446744073709551616",
    "-1",
    "0",
    "-0.0",
    "3.5",
    "1e308",
)
ODD_DATES = (
    '"0000-01-01T00:00:00Z"',
    '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59-23:59"',
    '"10000-01-01T00:00:00Z"',
    '"2026-02-30T00:00:00Z"',
)
ODD_URLS = ('"mqtt://.."', '["mqtt://127.0.0.1:9","mqtt://a..b"]', '"mqtt://[::1"', '"http://x"', '"mqtt://h:99999"')
ODD_SHAPES = ("null", "true", "[]", "{}", "[[[]]]", "[" * 200 + "]" * 200, '{"a":' * 100 + "1" + "}" * 100)
ODD_VALUES = (*ODD_TEXTS, *ODD_NUMBERS, *ODD_DATES, *ODD_URLS, *ODD_SHAPES)
"""JSON as it is sent: some of it is none."""

ODD_BYTES = (b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\0", b"\xef\xbb\xbf", b"\x80", b'"', b"{", b"\n")

_MARK = "@odd@"


def bent_json(value: Any, dice: random.Random) -> bytes:
    """The document with one of its values, or a key, replaced by something odd."""
    copy = json.loads(json.dumps(value))
    places = list(_places(copy))
    if not places:
        return dice.choice(ODD_VALUES).encode()
    holder, key = dice.choice(places)
    odd = dice.choice(_like(holder[key]) if dice.random() < 0.6 else ODD_VALUES)
    if isinstance(holder, dict) and dice.random() < 0.2:
        holder[_MARK] = holder.pop(key)
        odd_key = odd if odd.startswith('"') else json.dumps(odd)
        return json.dumps(copy).replace(f'"{_MARK}"', odd_key).encode()
    holder[key] = _MARK
    return json.dumps(copy).replace(f'"{_MARK}"', odd).encode()


def bent_bytes(raw: bytes, dice: random.Random) -> bytes:
    """The bytes with a few of them changed, cut off, doubled or put in."""
    changed = bytearray(raw)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(changed) + 1)
        match dice.randrange(5):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << dice.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                changed[at:at] = dice.choice(ODD_BYTES)
            case 3:
                changed[at:at] = changed[: dice.randrange(200)]
            case _:
                changed[at:at] = dice.randbytes(dice.randrange(40))
    return bytes(changed)


def _like(value: Any) -> tuple[str, ...]:
    """Odd values of the kind that a value is: these come furthest."""
    if isinstance(value, str):
        return ODD_DATES if value[:2] == "20" and "T" in value else ODD_URLS if "://" in value else ODD_TEXTS
    return ODD_NUMBERS if isinstance(value, int | float) else ODD_SHAPES


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document, as its holder and the key or index in it."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(entries):
        yield value, key
        yield from _places(item)
