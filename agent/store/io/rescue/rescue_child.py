"""A separate program that finds the intact rows of a damaged store; its memory is freed when it exits.

Standard input: ``{"path": …, "wal": …, "names": {stream id: name}}``; standard output: lines of JSON with groups of
rows, ended by an empty line. No large imports.
"""

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.store.format.account_text import parse_ranges
from agent.store.format.row_key import SEQ_BITS, SEQ_MASK
from agent.store.io.rescue.damaged_tables import DamagedTables
from agent.store.io.rescue.sqlite_pages import Pages

_LINE_BYTES = 1 << 16


def whole_rows(path: Path, wal: Path, names: Mapping[int, str]) -> Iterator[list[list[Any]]]:
    """Yield every intact row that is not known to be settled, in groups: stream, number, context (``None`` if lost),
    time, monotonic time, body in base64. ``names``: names of streams by id, known from elsewhere."""
    pages = Pages(path, wal)
    try:
        tables = DamagedTables(pages)
        streams = tables.stream_names() | dict(names)
        contexts = tables.contexts()
        settled = {name: _settled(columns[2]) for name, columns in tables.streams().items()}
        group: list[list[Any]] = []
        size = 0
        for key, context, t, mono_ms, body in tables.rows():
            stream, number = streams.get(key >> SEQ_BITS), key & SEQ_MASK
            if stream is None or any(start <= number < stop for start, stop in settled.get(stream, ())):
                continue
            group.append([stream, number, contexts.get(context), t, mono_ms, base64.b64encode(body).decode()])
            size += len(body) + 100
            if size > _LINE_BYTES:
                yield group
                group, size = [], 0
        if group:
            yield group
    finally:
        pages.close()


def _settled(text: str) -> list[tuple[int, int]]:
    try:
        return parse_ranges(text)
    except ValueError:
        return []


def main() -> int:
    """Answer one request."""
    request = json.load(sys.stdin)
    names = {int(number): name for number, name in request["names"].items()}
    for group in whole_rows(Path(request["path"]), Path(request["wal"]), names):
        print(json.dumps(group, separators=(",", ":")), flush=True)
    print(flush=True)
    return 0
