"""Recovers a damaged store: its accounts at once, and its rows later, through a child process."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.base.io.helper_process import module_command
from agent.base.reading import Context, Row
from agent.store.format.account_text import parse_account
from agent.store.io.rescue.damaged_tables import DamagedTables
from agent.store.io.rescue.sqlite_pages import Pages
from agent.store.stream_account import StreamAccount

_BUILD_MS = 1_577_836_800_000
"""A time before 2020 cannot be correct."""
_LINE_BYTES = 8 << 20
_SILENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class KnownState:
    """What is known about a store. ``ids``: the streams' ids inside the file. ``whole``: ``accounts`` contains all its
    streams."""

    accounts: Mapping[str, StreamAccount] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    descriptions: Mapping[str, bytes] = field(default_factory=dict)
    ids: Mapping[str, int] = field(default_factory=dict)
    whole: bool = False


def salvage_state(path: Path, log: Path) -> KnownState:
    """Read the state of a file that SQLite refuses. Blocks; reads a few pages and the log."""
    accounts: dict[str, StreamAccount] = {}
    try:
        pages = Pages(path, log)
    except OSError:
        return KnownState()
    try:
        tables = DamagedTables(pages)
        for name, columns in tables.streams().items():
            with suppress(ValueError):
                accounts[name] = parse_account(*columns)
        names = tables.stream_names()
        properties, descriptions = tables.properties(), tables.descriptions()
        ids = {name: number for number, name in names.items()}
        whole = tables.trusted() and set(ids) == set(accounts) and "ep" in properties
        return KnownState(accounts, properties, descriptions, ids, whole)
    finally:
        pages.close()


class RescueFailed(Exception):
    """The child process failed."""


async def rescued_rows(aside: Path, names: Mapping[str, str]) -> AsyncIterator[list[tuple[str, Row]]]:
    """Yield the rows of a file that was set aside, in groups. Raises :class:`RescueFailed`."""
    try:
        process = await asyncio.create_subprocess_exec(
            *module_command("agent.store.io.rescue.rescue_child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_BYTES,
        )
    except OSError as error:
        raise RescueFailed(str(error)) from error
    assert process.stdin is not None
    assert process.stdout is not None
    ended = False
    try:
        request = {"path": str(aside), "wal": f"{aside}-wal", "names": dict(names)}
        process.stdin.write(json.dumps(request).encode())
        process.stdin.close()
        while not ended:
            line = await asyncio.wait_for(process.stdout.readline(), _SILENCE_S)
            if line == b"\n":
                ended = True
            elif line:
                yield [parse_rescued(*fields) for fields in json.loads(line)]
            else:
                raise RescueFailed(f"exit status {await process.wait()}")
    except (OSError, ValueError, TypeError, TimeoutError) as error:
        raise RescueFailed(repr(error)) from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()


def parse_rescued(stream: str, number: int, context: Any, t: int, mono_ms: int, body: str) -> tuple[str, Row]:
    """Return a stream and its row from the fields that the child process printed."""
    # If the page of the context is lost, the account supplies the epoch, and the rest is unknown.
    row_context = Context(*context) if context else Context("", "00000000", 1 if t >= _BUILD_MS else 0, "")
    return stream, Row(number, t, mono_ms, row_context, base64.b64decode(body))
