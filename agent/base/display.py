"""Makes untrusted text safe to show: in a terminal, as JSON, in a spreadsheet. No I/O."""

import json
import re

_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Characters that move the cursor, colour the terminal, change the writing direction, are invisible, or are lone
surrogates."""

_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""Characters that make a spreadsheet evaluate a cell as a formula, in ASCII and full-width form."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def one_line(text: str, max_chars: int = 200) -> str:
    """Return untrusted text as one line of visible characters for a terminal or a log, truncated to ``max_chars``."""
    cut = text if len(text) <= max_chars else text[: max_chars - 1] + "…"
    return cut if cut.isascii() and cut.isprintable() else _UNSAFE.sub("?", cut)


def json_text(value: object, indent: int | None = None, compact: bool = False) -> str:
    """Return JSON for a terminal or a pipe, with control characters, invisible characters and lone surrogates escaped.
    Raises nothing for values decoded from JSON or MessagePack."""
    separators = (",", ":") if compact else None
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, default=str)
    # Only ``indent`` produces line breaks; those inside strings are already escaped.
    return "\n".join(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", line) for line in text.split("\n"))


def csv_cell(text: str) -> str:
    """Return untrusted text as a CSV cell that no spreadsheet evaluates: text that looks like a formula is prefixed
    with ``'``."""
    line = one_line(text, 1000)
    return f"'{line}" if text[:1] in _FORMULA and not _NUMBER.fullmatch(text) else line
