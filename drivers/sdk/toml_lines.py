"""Where in a TOML text a key stands: the parser of the standard library does not say."""

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_.-]+|\"[^\"]*\"|'[^']*')\s*=")
_LONG_QUOTES = ('"""', "'''")


def line_of(text: str, path: str) -> int:
    """The line (from 1) of the key at a path such as ``fields.x.type`` or ``rule[0].when``, or of what holds
    it; 1 where nothing of it is there. ``text``: TOML that can be read."""
    places = _places(text)
    while path:
        if path in places:
            return places[path]
        shorter = re.sub(r"(\[[0-9]+\]|\.?[^.\[\]]+)$", "", path)
        path = shorter if len(shorter) < len(path) else ""
    return 1


def _places(text: str) -> dict[str, int]:
    places: dict[str, int] = {}
    counts: dict[str, int] = {}
    table, quoted = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        if quoted:
            quoted = "" if quoted in line else quoted
            continue
        if header := _HEADER.fullmatch(line):
            table = header[2]
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            elif table.partition(".")[0] in counts:  # [example.expect] belongs to the last [[example]]
                first, _, rest = table.partition(".")
                table = f"{first}[{counts[first]}].{rest}"
            places.setdefault(table, number)
        elif key := _KEY.match(line):
            name = key[1].strip("\"'")
            places.setdefault(f"{table}.{name}" if table else name, number)
        quoted = next((each for each in _LONG_QUOTES if line.count(each) % 2), "")
    return places
