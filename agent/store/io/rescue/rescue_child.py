"""A program of its own: which rows of a damaged store are whole? It ends, and its memory is free again.

Standard input: ``{"path": …, "wal": …, "names": {stream id: name}}``; standard output: lines of JSON, rows in groups,
the last line empty. It imports nothing that is large.
"""

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.store.format.account_text import parse_ranges
from agent.store.format.row_key import SEQ_BITS, SEQ_MASK
from agent.store.io.rescue.pages import Remains
from agent.store.io.rescue.sqlite_pages import Pages

_LINE_BYTES = 1 << 16


def whole_rows(path: Path, wal: Path, names: Mapping[int, str]) -> Iterator[list[list[Any]]]:
    """Every whole row that is not known to be settled, in groups: stream, number, context (``None`` where it is lost),
    time, monotonic time, body in base64. ``names``: of streams, by their id, as far as they are known otherwise."""
    pages = Pages(path, wal)
    try:
        remains = Remains(pages)
        streams = remains.stream_names() | dict(names)
        contexts = remains.contexts()
        settled = {name: _settled(columns[2]) for name, columns in remains.streams().items()}
        group: list[list[Any]] = []
        size = 0
        for key, context, t, mono_ms, body in remains.rows():
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
    """Answer one question."""
    asked = json.load(sys.stdin)
    names = {int(number): name for number, name in asked["names"].items()}
    for group in whole_rows(Path(asked["path"]), Path(asked["wal"]), names):
        print(json.dumps(group, separators=(",", ":")), flush=True)
    print(flush=True)
    return 0
