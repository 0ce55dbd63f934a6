"""The kinds ``serial_frame`` and ``serial_line``: devices on a serial port."""

from collections.abc import Callable, Mapping
from functools import partial

from drivers.sdk.contract import Driver, Field, LineSettings, SerialDriver
from drivers.sdk.profile_fields import Made, field_tables, read_declaration
from drivers.sdk.profile_frame import FrameSpec, own_step, read_column, read_frame
from drivers.sdk.profile_line import LineSpec, read_field, read_lines
from drivers.sdk.profile_rules import read_rules
from drivers.sdk.profile_table import Table

EVENTS = ("seen", "gone", "on", "off")
"""The events that a line may be."""


def serial_frame(table: Table, line: LineSettings) -> Made[FrameSpec]:
    """A device whose frames are a table of bytes."""
    fields, columns = {}, []
    for name, each in field_tables(table):
        column = read_column(name, each)
        columns.append(column)
        fields[name] = read_declaration(each, own_step(column))
        each.done()
    frame = read_frame(table.table("frame", required=True), tuple(columns))
    spec = FrameSpec(frame, tuple(columns), read_rules(table, tuple(fields), binary=True))
    return Made(fields, spec, _serial(table, line, fields, spec, _hexadecimals))


def serial_line(table: Table, line: LineSettings) -> Made[LineSpec]:
    """A device that prints lines."""
    fields, readers, groups = {}, [], []
    for name, each in field_tables(table):
        fields[name] = read_declaration(each, None)
        reader = read_field(name, each, text=fields[name].kind == "text")
        readers.append(reader)
        groups += [*reader.keys]
        each.done()
    known = tuple(dict.fromkeys([*fields, *groups]))
    rules = read_rules(table, known, binary=False)
    event = table.one_of("event", EVENTS) if "event" in table else ""
    spec = read_lines(table.table("lines", required=True), tuple(readers), rules, event)
    return Made(fields, spec, _serial(table, line, fields, spec, _latin))


def _serial(
    table: Table,
    line: LineSettings,
    fields: Mapping[str, Field],
    spec: FrameSpec | LineSpec,
    written: Callable[[Table, str], list[bytes]],
) -> Callable[..., Driver]:
    return partial(
        SerialDriver,
        fields=fields,
        decoder=spec.decoder(),
        inline=True,
        line=line,
        setup=tuple(written(table, "setup")),
        request=b"".join(written(table, "request")),
        timeout_s=table.positive("timeout_s", 1),
    )


def _hexadecimals(table: Table, key: str) -> list[bytes]:
    parts = []
    for text in table.texts(key):
        try:
            parts.append(bytes.fromhex(text))
        except ValueError:
            table.wrong(key, '{value} is not hexadecimal, as in "AA C0"', value=repr(text))
    return parts


def _latin(table: Table, key: str) -> list[bytes]:
    parts = []
    for text in table.texts(key):
        try:
            parts.append(text.encode("latin-1"))
        except UnicodeEncodeError:
            table.wrong(key, "{value} is not Latin-1 (one byte per character)", value=repr(text))
    return parts
