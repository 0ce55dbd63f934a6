"""``gardu decode DRIVER``: decodes what a device sent, and prints one line of JSON per candidate frame.

Identifiers (card numbers, barcodes) are printed in plain form here and only here.
"""

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agent.base.i18n import _
from agent.config.io.catalog import LOCAL_PROFILES, Catalog, DriverBroken, UnknownDriver
from agent.sensing.quality import assess
from drivers.sdk.contract import Driver, Item, Rejected

if TYPE_CHECKING:
    from drivers.sdk.bus import I2cDriver

_CHUNK_BYTES = 65536
_LINK_JUST_OPENED_S = 0.0


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("driver", metavar="DRIVER", help=_("driver or profile"))
    parser.add_argument("--hex", action="store_true", help=_("the input is hexadecimal text"))
    parser.add_argument(
        "--profiles",
        metavar="DIR",
        type=Path,
        default=LOCAL_PROFILES,
        help=_("a directory with your own profiles"),
    )


def run(args: Namespace) -> int:
    """Decode standard input until it ends. Exit status 2: unknown driver or wrong input."""
    try:
        driver = Catalog(args.profiles).get(args.driver)
        chunks = _input(driver, hexadecimal=args.hex)
    except (UnknownDriver, DriverBroken, _InputError) as error:
        print(error, file=sys.stderr)
        return 2
    for lines in decode(driver, chunks):
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
    return 0


def decode(driver: Driver, chunks: Iterable[bytes]) -> Iterator[list[str]]:
    """Yield the lines for each chunk, assessed as on a link that was just opened."""
    decoder = driver.decoder({name: option.default for name, option in driver.options.items()})
    for chunk in chunks:
        yield [_line(driver, item) for item in decoder.feed(chunk, _LINK_JUST_OPENED_S)]
    yield [_line(driver, item) for item in decoder.finish(_LINK_JUST_OPENED_S)]


def _line(driver: Driver, item: Item) -> str:
    if isinstance(item, Rejected):
        return json.dumps({"rejected": item.reason})
    measurement = assess(item, driver.fields)
    return json.dumps({"fields": dict(measurement.values), "q": dict(measurement.q)}, allow_nan=False)


class _InputError(ValueError):
    """The input is invalid; the text is one line for people."""


def _input(driver: Driver, *, hexadecimal: bool) -> Iterable[bytes]:
    """Return the chunks to feed to the driver's decoder. Raises :class:`_InputError`."""
    from drivers.sdk.bus import I2cDriver

    if driver.table is not None and not driver.fields:
        raise _InputError(_("{driver} works only with its tables: try them as a profile").format(driver=driver.name))
    if not isinstance(driver, I2cDriver):
        return _hexadecimal(sys.stdin.buffer.read()) if hexadecimal else _bytes()
    raw = sys.stdin.buffer.read()
    if (parts := _parts(raw)) is None:
        return _hexadecimal(raw) if hexadecimal else [raw]
    return [_joined(driver, answer) for answer in parts]


def _parts(raw: bytes) -> list[list[bytes]] | None:
    """Parse answers in JSON, each a list of hexadecimal texts: one answer per line, or a single one. Returns ``None``
    for other input."""
    text = raw.decode("latin-1").strip()
    if not text.startswith("["):
        return None
    try:
        return [_texts(json.loads(text))]
    except ValueError:
        pass
    try:
        return [_texts(json.loads(row)) for row in text.splitlines() if row.strip()]
    except ValueError:
        return None


def _texts(found: object) -> list[bytes]:
    """Return the parts of one answer. Raises :class:`ValueError` for JSON of another form."""
    if not isinstance(found, list) or not all(isinstance(part, str) for part in found):
        raise ValueError
    return [bytes.fromhex(part) for part in found]


def _joined(driver: "I2cDriver", parts: list[bytes]) -> bytes:
    try:
        return driver.join(parts)
    except ValueError as error:
        form = _("{driver} expects its input in another form: see gardu drivers {driver}").format(driver=driver.name)
        raise _InputError(form) from error


def _bytes() -> Iterator[bytes]:
    """Yield standard input as it arrives, so that a device can be watched through a pipe."""
    while chunk := os.read(sys.stdin.fileno(), _CHUNK_BYTES):
        yield chunk


def _hexadecimal(text: bytes) -> list[bytes]:
    """Parse hexadecimal text as one stream of bytes. Raises :class:`_InputError`."""
    rows = text.decode("latin-1").splitlines()
    digits = "".join("".join(row.split()) for row in rows)
    try:
        return [bytes.fromhex(digits)]
    except ValueError:
        raise _InputError(_hex_problem(rows)) from None


def _hex_problem(rows: list[str]) -> str:
    for number, row in enumerate(rows, 1):
        for word in row.split():
            if any(digit not in "0123456789abcdefABCDEF" for digit in word):
                return _("input line {line} is not hexadecimal: {word}; write bytes as in AA C0 1D").format(
                    line=number, word=repr(word[:20])
                )
    return _("the hexadecimal input has an odd number of digits")
