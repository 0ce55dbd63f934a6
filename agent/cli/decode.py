"""``gardu decode DRIVER``: what a device sent, as one line of JSON for each frame candidate."""

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.core.quality import assess
from agent.core.text import say
from agent.edges.catalog import LOCAL_PROFILES, Catalog, DriverBroken, UnknownDriver
from drivers.sdk.contract import Driver, Item, Rejected

_CHUNK_BYTES = 65536
_LINK_JUST_OPENED_S = 0.0


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``gardu decode``."""
    parser.add_argument("driver", metavar="DRIVER", help=say("a driver or profile"))
    parser.add_argument("--hex", action="store_true", help=say("the input is hexadecimal text"))
    parser.add_argument(
        "--profiles",
        metavar="DIR",
        type=Path,
        default=LOCAL_PROFILES,
        help=say("a directory of your own profiles"),
    )


def run(args: Namespace) -> int:
    """Decode standard input until it ends; 0 if it was read, 2 for a wrong driver or wrong hexadecimal."""
    try:
        driver = Catalog(args.profiles).get(args.driver)
        chunks: Iterable[bytes] = _hexadecimal() if args.hex else _bytes()
    except (UnknownDriver, DriverBroken, _HexadecimalError) as error:
        print(error, file=sys.stderr)
        return 2
    for lines in decoded(driver, chunks):
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
    return 0


def decoded(driver: Driver, chunks: Iterable[bytes]) -> Iterator[list[str]]:
    """The lines printed for each chunk, judged as the agent does on a link just opened."""
    decoder = driver.decoder({name: option.default for name, option in driver.options.items()})
    for chunk in chunks:
        yield [_line(driver, item) for item in decoder.feed(chunk, _LINK_JUST_OPENED_S)]
    yield [_line(driver, item) for item in decoder.finish(_LINK_JUST_OPENED_S)]


def _line(driver: Driver, item: Item) -> str:
    if isinstance(item, Rejected):
        return json.dumps({"rejected": item.reason})
    measurement = assess(item, driver.fields)
    return json.dumps({"fields": dict(measurement.values), "q": dict(measurement.q)}, allow_nan=False)


class _HexadecimalError(ValueError):
    """The input of ``--hex`` is something else; its text is one line for people."""


def _bytes() -> Iterator[bytes]:
    """Standard input as it comes, so that a device can be watched through a pipe."""
    while chunk := os.read(sys.stdin.fileno(), _CHUNK_BYTES):
        yield chunk


def _hexadecimal() -> list[bytes]:
    """All of standard input as one stream of bytes. Raises _HexadecimalError."""
    rows = sys.stdin.buffer.read().decode("latin-1").splitlines()
    digits = "".join("".join(row.split()) for row in rows)
    try:
        return [bytes.fromhex(digits)]
    except ValueError:
        raise _HexadecimalError(_what_is_wrong(rows)) from None


def _what_is_wrong(rows: list[str]) -> str:
    for number, row in enumerate(rows, 1):
        for word in row.split():
            if any(digit not in "0123456789abcdefABCDEF" for digit in word):
                return say(
                    "line {line} of the input is not hexadecimal: {word}; give bytes as in AA C0 1D",
                    line=number,
                    word=repr(word[:20]),
                )
    return say("the hexadecimal input ends in the middle of a byte: an odd number of digits")
