"""The output formats of ``gardu listen``: for people (table) and for programs (jsonl, csv, senml).

Texts come from publishers and are untrusted: a table shows only their visible characters in one line, JSON escapes all
others, and no CSV cell can be a formula.
"""

import csv
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TextIO

from agent.base.display import csv_cell, json_text, one_line
from agent.base.i18n import _
from agent.fleet.gap_ledger import Gap
from agent.fleet.subscriber import Arrival, Subscriber

_RESERVED = ("t", "q")
_TEXT_CHARS = 200
_LINE_CHARS = 4000


class Format:
    """Writes arrivals and gaps to ``out``."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, item: Arrival | Gap, subscriber: Subscriber) -> None:
        """Write one item. ``subscriber`` knows the units."""
        if isinstance(item, Gap):
            self.gap(item)
        else:
            self.row(item, subscriber)

    def row(self, arrival: Arrival, subscriber: Subscriber) -> None:
        raise NotImplementedError

    def gap(self, gap: Gap) -> None:
        """Write a gap; does nothing in formats that cannot express one."""

    def flush(self) -> None:
        """Flush the output."""
        self._out.flush()


class JsonLines(Format):
    """One row per line; gaps are separate lines."""

    def row(self, arrival: Arrival, subscriber: Subscriber) -> None:
        stream_id, fields = arrival.stream_id, arrival.fields
        head = {
            "gateway": stream_id.gateway,
            "sensor": arrival.sensor,
            "kind": arrival.kind,
            "ep": stream_id.epoch,
            "seq": arrival.seq,
        }
        values = {name: value for name, value in fields.items() if name != "q"}
        line = {**head, **values, "q": fields.get("q", {})}
        self._out.write(json_text(line, compact=True) + "\n")

    def gap(self, gap: Gap) -> None:
        kind, _unused, sensor = gap.stream_id.stream.partition("/")
        line = {
            "gateway": gap.stream_id.gateway,
            "sensor": sensor,
            "kind": kind,
            "ep": gap.stream_id.epoch,
            "from": gap.start,
            "to": gap.stop - 1,
            "n": gap.stop - gap.start,
            "why": gap.why,
        }
        self._out.write(json_text({"gap": line}, compact=True) + "\n")


class Csv(Format):
    """One value per line."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._writer = csv.writer(out, lineterminator="\n")
        self._writer.writerow(("gateway", "sensor", "kind", "ep", "seq", "t", "field", "value", "unit", "q"))

    def row(self, arrival: Arrival, subscriber: Subscriber) -> None:
        stream_id = arrival.stream_id
        qualities = arrival.fields.get("q") or {}
        for name, value in _values(arrival).items():
            unit, quality = subscriber.unit(stream_id.gateway, arrival.sensor, name), qualities.get(name, "")
            self._writer.writerow(
                (
                    stream_id.gateway,
                    arrival.sensor,
                    arrival.kind,
                    stream_id.epoch,
                    arrival.seq,
                    arrival.fields["t"],
                    name,
                    _cell(value),
                    csv_cell(unit),
                    _cell(quality),
                )
            )


class SenMl(Format):
    """One SenML pack (RFC 8428) per line. A null value has no record, since SenML cannot express it."""

    def row(self, arrival: Arrival, subscriber: Subscriber) -> None:
        base: dict[str, Any] = {
            "bn": f"{arrival.stream_id.gateway}/{arrival.sensor}/",
            "bt": arrival.fields["t"] / 1000,
        }
        records = []
        for name, value in _values(arrival).items():
            key = "vb" if isinstance(value, bool) else "vs" if isinstance(value, str) else "v"
            if value is not None and not isinstance(value, (dict, list)):
                unit = subscriber.unit(arrival.stream_id.gateway, arrival.sensor, name)
                records.append({"n": name, **({"u": unit} if unit else {}), key: value})
        if records:
            pack = [{**base, **records[0]}, *records[1:]]
            self._out.write(json_text(pack, compact=True) + "\n")


class TableFormat(Format):
    """One row per line for people; times are in this computer's time zone."""

    def row(self, arrival: Arrival, subscriber: Subscriber) -> None:
        when = datetime.fromtimestamp(arrival.fields["t"] / 1000).strftime("%H:%M:%S")
        mark = "!" if arrival.kind == "event" else "<" if arrival.late else " "
        words = ", ".join(format_values(arrival, subscriber))
        line = one_line(words, _LINE_CHARS)
        self._out.write(f"{when} {mark} {arrival.stream_id.gateway:<16} {arrival.sensor:<14} {line}\n")

    def gap(self, gap: Gap) -> None:
        stream_id, last, n = gap.stream_id, gap.stop - 1, gap.stop - gap.start
        line = _("gap: {gateway} {stream} {start} to {last} ({n} rows): {why}").format(
            gateway=stream_id.gateway, stream=stream_id.stream, start=gap.start, last=last, n=n, why=gap.why
        )
        self._out.write(line + "\n")


def format_values(arrival: Arrival, subscriber: Subscriber) -> list[str]:
    """Return each field of a row with its value, unit and quality, for people."""
    qualities = arrival.fields.get("q") or {}
    words = []
    for name, value in _values(arrival).items():
        unit = subscriber.unit(arrival.stream_id.gateway, arrival.sensor, name)
        shown = "-" if value is None else one_line(str(value), _TEXT_CHARS)
        quality = f" ({one_line(str(qualities[name]), 32)})" if name in qualities else ""
        words.append(f"{name} {shown}{' ' + unit if unit and value is not None else ''}{quality}")
    return words


def _cell(value: object) -> object:
    """Return a value for a CSV cell: empty for null. Numbers and booleans cannot be formulas."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return value
    return csv_cell(value if isinstance(value, str) else json_text(value))


def _values(arrival: Arrival) -> Mapping[str, Any]:
    return {name: value for name, value in arrival.fields.items() if name not in _RESERVED}


FORMATS: Mapping[str, Callable[[TextIO], Format]] = {
    "table": TableFormat,
    "jsonl": JsonLines,
    "csv": Csv,
    "senml": SenMl,
}
