"""The account of what a recorded store accepted, and the judgement of what it has after a power cut."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgpack

from agent.base.ranges import Ranges
from agent.base.reading import AGENT, Reading, Row, Stamp, event, packed
from agent.store.commit import Commit
from agent.store.io.backend import Backend
from agent.store.io.database import Database
from agent.store.io.databases import DatabaseSettings
from agent.store.io.errors import StoreBroken
from agent.store.io.files import StoreFiles, wal_path
from agent.store.io.rescue.rescue_child import whole_rows
from agent.store.io.rescue.salvage import parse_rescued
from agent.store.limits import StoreLimits
from agent.store.unsettled_rows import RowRanges

OWN = event(AGENT)
_LIMITS = StoreLimits(failure_grace_s=0.0)
_MAX_BYTES = 1 << 20
_UNKNOWN_BOOT = "00000000"
"""The boot of a rescued row whose page of contexts was lost."""
_LATER = Stamp(1_796_000_000_000, 7_000_000, 1)

Key = tuple[str, int]
"""A stream and a number."""


@dataclass
class StoreAccount:
    """What the marks of a recording say.

    ``attempted``: stream and body of every reading that was appended; ``accepted``: each row that must survive, in the
    forms that it may have; ``published``: which body went out under which stream, epoch and number; ``excused``: rows
    that may be gone, because they were settled or were destroyed by the test; ``damaged``: the test damaged the file;
    ``missing``: the test deleted it, and it is not restored yet; ``stopped``: the run ended its session, so that the
    broker retains the numbers of every stream.
    """

    attempted: set[tuple[str, bytes]] = field(default_factory=set)
    accepted: dict[Key, tuple[Row, ...]] = field(default_factory=dict)
    published: dict[tuple[str, str, int], bytes] = field(default_factory=dict)
    excused: dict[str, Ranges] = field(default_factory=dict)
    events: set[bytes] = field(default_factory=set)
    damaged: bool = False
    missing: bool = False
    stopped: bool = False
    faults: list[str] = field(default_factory=list)

    def apply(self, kind: str, *values: Any) -> None:
        """Take a mark into account."""
        match kind, values:
            case "attempt", [readings]:
                self.attempted.update(readings)
            case "settle", [ranges]:
                for stream, start, stop in ranges:
                    self.excuse(stream, start, stop)
            case "accepted", [rows, durable, published]:
                for stream, found in rows.items():
                    self._accepted(stream, found, durable=durable, published=published)
            case "moving", [epoch, since]:
                for (stream, number), (row, *_) in self.accepted.items():
                    if number >= since.get(stream, 1 << 60):
                        moved = row._replace(context=row.context._replace(epoch=epoch))
                        self.accepted[stream, number] = (row, moved)
            case "missing", [missing]:
                self.missing = missing
            case "closing", []:
                self.stopped = True
            case "given up", [ranges]:
                self.faults += _wrongly_lost(self, ranges)

    def retained(self) -> dict[Key, int]:
        """The next number of each stream and epoch, as far as the broker certainly retains it."""
        retained: dict[Key, int] = {}
        for stream, epoch, number in self.published if self.stopped else ():
            retained[stream, epoch] = max(number + 1, retained.get((stream, epoch), 1))
        return retained

    def excuse(self, stream: str, start: int, stop: int) -> None:
        """Expect these rows no more."""
        self.excused.setdefault(stream, Ranges()).add(start, stop)

    def is_owed(self, stream: str, number: int) -> bool:
        """Whether a row must be there, or its loss reported."""
        return not self.missing and (stream, number) in self.accepted and number not in self.excused.get(stream, ())

    def _accepted(self, stream: str, rows: Iterable[Row], *, durable: bool, published: bool) -> None:
        for row in rows:
            if durable:
                self.accepted[stream, row.seq] = (row,)
            if published:
                self.published[stream, row.context.epoch, row.seq] = row.body
            if stream == OWN:
                self.events.add(row.body)


@dataclass
class Reopened:
    """What the ordinary code finds after the cut: the rows, what it reports as lost, the numbers that it gives to new
    rows (stream, epoch, number, body), whether it saw damage, and SQLite's own check."""

    rows: dict[Key, Row] = field(default_factory=dict)
    lost: RowRanges = field(default_factory=list)
    new: list[tuple[str, str, int, bytes]] = field(default_factory=list)
    damage: str = ""
    integrity: str = "ok"


def reopen(folder: Path, boot_id: str, streams: Iterable[str], retained: Mapping[Key, int]) -> Reopened:
    """Open the store as the agent does, rescue what was set aside, append a row to every stream, close it.
    ``retained``: what the broker knows."""
    settings = DatabaseSettings(_MAX_BYTES, boot_id, lambda: _LATER, _LIMITS)
    backend = Backend(StoreFiles(folder / "store.db", _MAX_BYTES, boot_id), settings)
    backend.open("")
    backend.record_losses()
    try:
        return _examined(backend, folder, sorted({*streams, *backend.active.accounts}), retained)
    finally:
        backend.close()


def _examined(backend: Backend, folder: Path, streams: Iterable[str], retained: Mapping[Key, int]) -> Reopened:
    result = Reopened()
    for name, account in backend.active.accounts.items():
        backend.read([(name, start, stop, stop - start) for start, stop in list(account.deliverable())])
    while backend.rescues:
        aside = folder / backend.rescues[0].file
        names = {int(number): name for number, name in backend.rescues[0].names.items()}
        for group in whole_rows(aside, wal_path(aside), names) if aside.exists() else ():
            backend.store_rescued([parse_rescued(*fields) for fields in group])
        result.lost += backend.end_rescue()
    for name, account in backend.active.accounts.items():
        for row in _readable(backend.active, name, 1, account.next):
            result.rows[name, row.seq] = row
    _begin_epoch_if_behind(backend, retained)
    for stream in streams:
        body = packed({"ev": "new"} if stream == OWN else {"n": f"new {stream}"})
        commit = backend.commit(Commit([Reading(stream, _LATER, "mh000000", body)], _LATER, "mh000000"))
        start, _ = commit.assigned[stream]
        result.new.append((stream, backend.active.property("ep"), start, body))
    result.damage = "; ".join(change.detail for change in backend.changes if change.why == "damaged")
    if not backend.durable:
        result.damage += "not durable"
    else:
        result.integrity = _integrity(backend.active)
    return result


def _integrity(database: Database) -> str:
    try:
        (result,) = database.tables.connection.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return str(result)


def _begin_epoch_if_behind(backend: Backend, retained: Mapping[Key, int]) -> None:
    """Do what a session does at its start: the broker may have seen newer numbers than the store has."""
    current = backend.active.property("ep")
    for (stream, epoch), following in retained.items():
        account = backend.active.accounts.get(stream)
        if epoch == current and following > (account.next if account is not None else 1):
            backend.begin_epoch(token_hex(4), {})
            return


def _readable(database: Database, stream: str, start: int, stop: int) -> Iterator[Row]:
    """The rows without those whose checksum is wrong: a settled one is never asked for."""
    try:
        yield from database.rows(stream, start, stop, stop - start)
    except StoreBroken:
        if stop - start > 1:
            middle = (start + stop) // 2
            yield from _readable(database, stream, start, middle)
            yield from _readable(database, stream, middle, stop)


def judge(account: StoreAccount, found: Reopened) -> list[str]:
    """Every fault, one line each, beginning with its kind; nothing where all is well."""
    faults = list(account.faults)
    if found.integrity != "ok":
        faults.append(f"corrupt: {found.integrity}")
    if found.damage and not account.damaged:
        faults.append(f"corrupt: {found.damage}")
    faults += _lost(account, found)
    faults += _altered(account, found)
    faults += _numbered_twice(account, found)
    faults += _wrongly_lost(account, found.lost)
    return faults


def _lost(account: StoreAccount, found: Reopened) -> Iterator[str]:
    events = account.events | {row.body for (stream, _), row in found.rows.items() if stream == OWN}
    reported = [lost for body in events if (lost := _reported(body)) is not None]
    for (stream, number), allowed in account.accepted.items():
        if not account.is_owed(stream, number) or _is_one_of(found.rows.get((stream, number)), allowed):
            continue
        if not any((stream, row.context.epoch, number) in _Covered(reported) for row in allowed):
            yield f"lost: {stream} {number}"
    for stream, epoch, start, stop in reported:
        for number in range(start, stop):
            row_ = found.rows.get((stream, number))
            if row_ is not None and row_.context.epoch == epoch:
                yield f"wrongly reported: {stream} {number} is there"


def _is_one_of(row: Row | None, allowed: Iterable[Row]) -> bool:
    """Whether it is this row, by its epoch: a number that was lost may be given again in another epoch."""
    return row is not None and any(row.context.epoch == other.context.epoch for other in allowed)


class _Covered:
    """The rows that ``rows_lost`` events name."""

    def __init__(self, reported: RowRanges) -> None:
        self._reported = reported

    def __contains__(self, row: tuple[str, str, int]) -> bool:
        return any((name, epoch) == row[:2] and start <= row[2] < stop for name, epoch, start, stop in self._reported)


def _reported(body: bytes) -> tuple[str, str, int, int] | None:
    match msgpack.unpackb(body):
        case {"ev": "rows_lost", "stream": stream, "ep": epoch, "from": start, "to": last, "n": n}:
            assert n == last - start + 1, "a report that contradicts itself"
            return stream, epoch, start, last + 1
    return None


def _altered(account: StoreAccount, found: Reopened) -> Iterator[str]:
    bodies = Counter((stream, row.body) for (stream, _), row in found.rows.items() if stream != OWN)
    yield from (f"twice: {stream} {body!r}" for (stream, body), n in bodies.items() if n > 1)
    for (stream, number), row in found.rows.items():
        accepted = account.accepted.get((stream, number), ())
        if _is_one_of(row, accepted) and row not in accepted:
            if account.damaged and row.context.boot_id == _UNKNOWN_BOOT and row[:3] == accepted[0][:3]:
                continue
            yield f"altered: {stream} {number} was {accepted[0]}, is {row}"
        elif stream != OWN and (stream, row.body) not in account.attempted:
            yield f"invented: {stream} {number} {row.body!r}"


def _numbered_twice(account: StoreAccount, found: Reopened) -> Iterator[str]:
    given = [(stream, row.context.epoch, number, row.body) for (stream, number), row in found.rows.items()]
    for stream, epoch, number, body in (*given, *found.new):
        if account.published.get((stream, epoch, number), body) != body:
            yield f"numbered twice: {stream} {epoch} {number}"


def _wrongly_lost(account: StoreAccount, lost: RowRanges) -> Iterator[str]:
    for stream, epoch, start, stop in lost:
        for number in range(start, stop):
            if account.is_owed(stream, number) and account.accepted[stream, number][0].context.epoch == epoch:
                yield f"lost: {stream} {number}, given up"
