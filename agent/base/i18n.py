"""What a person reads, in English or Indonesian.

English is written where it is said, ``say("port {port} is not there", port=p)``; its Indonesian stands in
:mod:`agent.base.bahasa`, which is loaded only where the locale asks for it.
"""

import json
import re
from collections.abc import Mapping

_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Characters that move a cursor, colour a terminal, turn the direction of writing, hide, or are half of one."""

_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What makes a spreadsheet run a cell, by itself or in its wide form."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)

_table: Mapping[str, str] = {}


def choose_language(environ: Mapping[str, str]) -> str:
    """Take the language of the locale: ``id`` or ``en``. Reads LC_ALL, LC_MESSAGES and LANG, in this order."""
    global _table
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    if locale.split("_")[0].split(".")[0].lower() == "id":
        from agent.base.bahasa import BAHASA

        _table = BAHASA
        return "id"
    _table = {}
    return "en"


def say(english: str, **values: object) -> str:
    """The sentence in the chosen language, its ``{placeholders}`` filled in."""
    return _table.get(english, english).format(**values)


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
