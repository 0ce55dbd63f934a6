"""Shows text that a stranger wrote: in a terminal, as JSON, in a spreadsheet. Pure."""

import json
import re

_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Characters that move a cursor, colour a terminal, turn the direction of writing, hide, or are half of one."""

_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What makes a spreadsheet run a cell, by itself or in its wide form."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def one_line(text: str, max_chars: int = 200) -> str:
    """What a stranger wrote, as it may stand in a terminal or a log: one line of visible characters, cut to
    ``max_chars``."""
    cut = text if len(text) <= max_chars else text[: max_chars - 1] + "…"
    return cut if cut.isascii() and cut.isprintable() else _UNSAFE.sub("?", cut)


def json_text(value: object, indent: int | None = None, compact: bool = False) -> str:
    """JSON for a terminal or a pipe: what would move a cursor, hide or be half of a character is written as an escape.
    Raises nothing for what JSON or MessagePack brought."""
    separators = (",", ":") if compact else None
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, default=str)
    # Line ends of ``indent`` are the only ones that are not in a text.
    return "\n".join(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n"))


def csv_cell(text: str) -> str:
    """What a stranger wrote, as a cell that no spreadsheet takes for a formula: such a text begins with ``'``."""
    line = one_line(text, 1000)
    return f"'{line}" if text[:1] in _FORMULA and not _NUMBER.fullmatch(text) else line
