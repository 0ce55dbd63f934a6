"""TOML texts of every form, with the line on which each key stands."""

import json
from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import strategies as st

_SCALARS = st.sampled_from(
    [
        "1",
        "-2.5",
        "true",
        "1979-05-27 07:32:00",
        '"a # b"',
        "'[x]'",
        '"\\" = ["',
        '"""\nx = 1\n[y]\n"""',
        '""',
        "'''\n\"\"\"\nz = 2'''",
        '"""a""b\\"""" """',
        "'''it''s'''''",
        '"""\\\n   x"""',
        "0xff",
        "inf",
        '""""quoted" """',
        "''''''",
    ]
)
_KEYS = st.sampled_from(["a", "b", "id", "level", "x-1", "2", "a.b", 'q"t', "[0]", "ü", "k" * 70])
_IDS = st.sampled_from(["air-1", "air-2", "Air", ""])

Value = object
"""A string is TOML of a scalar; a list and a dictionary are themselves."""

values = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def _tables(draw: st.DrawFn, depth: int = 2) -> dict[str, Value]:
    table: dict[str, Value] = dict(draw(st.dictionaries(_KEYS, values, max_size=4)))
    if depth:
        for name in draw(st.lists(st.sampled_from(["fields", "rule", "sensor", "a c"]), max_size=3, unique=True)):
            if name in ("rule", "sensor"):
                entries = draw(st.lists(_tables(depth=depth - 1), min_size=1, max_size=3))
                for entry in entries:
                    if draw(st.booleans()):
                        entry["id"] = json.dumps(draw(_IDS))
                table[name] = Tables(entries)
            else:
                table[name] = Table(draw(_tables(depth=depth - 1)))
    return table


tables = _tables()


class Table(dict[str, Value]):
    """A table with a header of its own."""


class Tables(list[dict[str, Value]]):
    """An array of tables with headers."""


@dataclass
class Text:
    """A text that grows. ``lines``: where the key of a path stands; a path may mean several keys."""

    draw: st.DrawFn
    text: str = ""
    lines: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def document(self, table: dict[str, Value]) -> None:
        self._body(table, "", "")

    def _line(self) -> int:
        return self.text.count("\n") + 1

    def _note(self, path: str) -> None:
        self.lines[path].add(self._line())

    def _body(self, table: dict[str, Value], path: str, header: str) -> None:
        headed = {name: value for name, value in table.items() if isinstance(value, Table | Tables)}
        for name, value in table.items():
            if name in headed:
                continue
            self._pause()
            where = _join(path, name)
            self._note(where)
            self.text += f"{self._key(name)}{self._space()}={self._space()}"
            if isinstance(value, dict) and value and self.draw(st.booleans()):
                self._dotted(name, value, where)
            else:
                self._value(value, where)
            self.text += self.draw(st.sampled_from(["\n", "  # it = [\n", "\r\n"]))
        for name, value in headed.items():
            where, inner = _join(path, name), f"{header}.{self._key(name)}" if header else self._key(name)
            if isinstance(value, Table):
                self._pause()
                self._note(where)
                self.text += f"[{self._space()}{inner}{self._space()}]\n"
                self._body(value, where, inner)
            elif isinstance(value, Tables):
                self._entries(value, where, inner)

    def _entries(self, entries: Tables, path: str, header: str) -> None:
        for at, (label, entry) in enumerate(zip(_labels(entries), entries, strict=True)):
            self._pause()
            if not at:
                self._note(path)
            for name in {f"{path}{label}", f"{path}[{at}]"}:
                self._note(name)
            self.text += f"[[{header}]]\n"
            before = set(self.lines)
            self._body(entry, f"{path}{label}", header)
            for name in set(self.lines) - before:
                self.lines[f"{path}[{at}]" + name.removeprefix(f"{path}{label}")] |= self.lines[name]

    def _dotted(self, name: str, table: dict[str, Value], path: str) -> None:
        """``name.key = value`` instead of ``name = { key = value }``."""
        start = self.text.rfind("\n") + 1
        self.text = self.text[:start]
        for at, (key, value) in enumerate(table.items()):
            self.text += "\n" if at else ""
            self.text += f"{self._key(name)}{self._space()}.{self._space()}{self._key(key)} = "
            self._note(_join(path, key))
            self._value(value, _join(path, key))

    def _value(self, value: Value, path: str) -> None:
        if isinstance(value, dict):
            self.text += "{"
            for at, (key, item) in enumerate(value.items()):
                self.text += ", " if at else " "
                self._note(_join(path, key))
                self.text += f"{self._key(key)} = "
                self._value(item, _join(path, key))
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for at, item in enumerate(value):
                self.text += self.draw(st.sampled_from([" ", "\n", "\n # ] , x = 1\n", ""]))
                self._note(f"{path}[{at}]")
                label = f"{path}{_labels(value)[at]}"
                if label != f"{path}[{at}]":
                    self._note(label)
                self._value(item, f"{path}[{at}]")
                self.text += ","
            self.text += "\n]"
        else:
            self.text += str(value)

    def _pause(self) -> None:
        self.text += self.draw(st.sampled_from(["", "\n", "# a = 1\n", "  \n\n", "# [b]\n"]))

    def _space(self) -> str:
        return self.draw(st.sampled_from(["", " ", "\t "]))

    def _key(self, name: str) -> str:
        if name in ("a", "b", "id", "level", "x-1", "2", "fields", "rule", "sensor") and self.draw(st.booleans()):
            return name
        return f"'{name}'" if "'" not in name and self.draw(st.booleans()) else json.dumps(name, ensure_ascii=False)


def _labels(entries: list[dict[str, Value]] | list[Value]) -> list[str]:
    from drivers.sdk.tables.reader import labels

    ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
    return labels(
        "",
        [
            json.loads(name)
            if isinstance(name, str) and name.startswith('"') and "\n" not in name and not name.startswith('"""')
            else None
            for name in ids
        ],
    )


def _join(path: str, key: str) -> str:
    return f"{path}.{key[:64]}" if path else key[:64]
