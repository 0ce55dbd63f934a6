"""Where rows go: into the file, or, while it cannot be written, into memory; and how one follows the other.

    file --(commits fail for some seconds)--> memory --(the disk takes it)--> file
    file --(damage: set aside)--> new file --(rescued rows come back)-->
    file --(deleted or swapped underneath)--> a copy of it in its place

Rows in memory have numbers of an epoch of their own, so that they can be published; nothing that was given there can
be given again. All of this blocks and belongs in the store's thread; what changed is told in ``news``.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from agent.core.account import StreamAccount
from agent.core.events import rows_lost
from agent.core.reading import AGENT, Reading, Row, Stamp, event
from agent.core.wire import packed
from agent.edges import clock
from agent.edges.database import FIRST, MEMORY, Commit, Database
from agent.edges.store_errors import StoreBroken, StoreError, StoreFull, StoreNewer
from agent.edges.store_files import Owed, StoreFiles, log_of, noted, owed
from agent.edges.store_remains import Known, known_remains

PATIENCE_MS = 3000
"""Commits may fail for this long before numbers are given in memory."""
_PROBE_MS, _MAX_PROBE_MS = 2000, 15_000
_MEMORY_BYTES = 6 << 20
_CHUNK_ROWS = 400
_MAX_COMMIT = 4_000
_RESCUE = "rescue"
_OWN = ("ep", "boot", "clean", _RESCUE)
"""Properties of the file itself: not taken over from a damaged one."""

Wanted = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class News:
    """What happened: ``kind`` is ``reset`` (a new epoch; ``why``), ``durable`` (the disk takes rows again) or
    ``changed`` (accounts only). ``accounts``: copies, as they are now."""

    kind: str
    why: str
    detail: str
    ep: str
    accounts: Mapping[str, StreamAccount]
    before: Sequence[tuple[str, str, int]] = ()


class Backend:
    """``patience_ms``: 0 while there is no time to wait for a disk."""

    def __init__(self, files: StoreFiles, max_bytes: int, bid: str, now: Callable[[], Stamp]) -> None:
        self._files = files
        self._max_bytes = max_bytes
        self._bid = bid
        self._now = now
        self._disk: Database | None = None
        self._memory: Database | None = None
        self._floor: dict[str, int] = {}
        self._blind = False
        self._failing_since_ms: int | None = None
        self._probe_ms, self._probe_wait_ms = 0, _PROBE_MS
        self._look_ms = 0
        self.patience_ms = PATIENCE_MS
        self.news: deque[News] = deque()
        self.left: Owed = []
        """Rows that the run before could not write."""
        self.missing: Owed = []
        """Rows that were owed in a file that is not there any more."""

    @property
    def durable(self) -> bool:
        """Whether what is committed is on the disk."""
        return self._memory is None

    @property
    def max_rows(self) -> int:
        """How many readings a commit may have: few where the log must not grow."""
        return _CHUNK_ROWS if self._disk is not None and self._disk.cramped else _MAX_COMMIT

    @property
    def active(self) -> Database:
        """Where numbers are given now."""
        active = self._memory or self._disk
        assert active is not None
        return active

    @property
    def rescues(self) -> list[dict[str, Any]]:
        """Files that were set aside and not read yet: ``file``, ``ep`` (the epoch that began then), ``names``."""
        return _listed(self.active.property(_RESCUE))

    def open(self, board: str) -> None:
        """Open the file, or begin without. Raises :class:`~agent.edges.store_errors.StoreNewer`."""
        note = self._files.note()
        missing = bool(note) and not self._files.there()
        self.left = noted(note.get("left"))
        self.missing = noted(note.get("owed")) if missing else []
        self._files.make_folder()
        try:
            self._disk = self._opened()
        except StoreBroken as error:
            self._set_aside(error)
        except StoreNewer:
            raise
        except StoreError as error:
            self._begin_in_memory(error)
        else:
            if missing:
                self._tell("reset", "missing", str(note.get("ep", "")))
            self._hold_for_rescue()
            self._begin_run(board)
        self._files.leave_note(self.active.property("ep"))

    def commit(self, commit: Commit) -> Commit:
        """Give the readings their numbers. Raises :class:`StoreError` where that is worth another try soon."""
        if self._memory is not None:
            return self._memory.commit(commit)
        assert self._disk is not None
        try:
            self._commit_on_disk(commit)
        except StoreBroken as error:
            self._set_aside(error)
            return self.active.commit(commit)
        except StoreError as error:
            now_ms = clock.mono_ms()
            self._failing_since_ms = self._failing_since_ms or now_ms
            if now_ms - self._failing_since_ms < self.patience_ms:
                raise
            self._go_on_in_memory(error)
            return self.active.commit(commit)
        self._failing_since_ms = None
        return commit

    def read(self, wanted: Iterable[Wanted]) -> list[list[Row]]:
        """For each (stream, start, stop, limit) the rows of ``[start, stop)``, rising, at most ``limit``. What cannot
        be read is held from now on."""
        return [self._rows(*one) for one in wanted]

    def description(self, mh: str) -> bytes:
        """The bytes of a description; empty where it cannot be had."""
        for database in (self._memory, self._disk):
            if database is not None:
                with suppress(StoreError):
                    if found := database.description(mh):
                        return found
        return b""

    def newest_ms(self) -> int:
        """The newest trusted time of any row; 0 where there is none."""
        try:
            return self._disk.newest_ms() if self._disk is not None else 0
        except StoreBroken as error:
            self._set_aside(error)
        except StoreError:
            pass
        return 0

    def begin_epoch(self, ep: str, since: Mapping[str, int]) -> None:
        """Count numbers to another epoch. Where the disk does not take that, it begins in memory."""
        try:
            self.active.begin_epoch(ep, since)
        except StoreBroken as error:
            self._set_aside(error)
        except StoreError as error:
            self._go_on_in_memory(error)
        else:
            self._tell("changed", "", "")

    def upkeep(self) -> None:
        """What is to be looked at from time to time, at least every few seconds."""
        now_ms = clock.mono_ms()
        if self._memory is not None:
            if now_ms >= self._probe_ms:
                self._try_disk(now_ms)
        elif self._disk is not None and now_ms >= self._look_ms:
            self._look_ms = now_ms + 10_000
            if self._files.replaced():
                self._replace()
            elif not self._disk.cramped and self._files.free_bytes() < 4 * self._disk.wal_bytes:
                self._disk.write_log_back()  # while there is room for it
            elif self._disk.cramped and self._files.free_bytes() > 4 * self._disk.wal_bytes:
                with suppress(StoreError):
                    self._disk.relax()
                    self._files.opened(self._disk.wal_bytes)

    def rescued(self, rows: Sequence[tuple[str, Row]]) -> int:
        """Take rows of a file that was set aside; how many of them were owed. Raises :class:`StoreError` where they
        cannot be taken now."""
        if self._memory is not None or self._disk is None:
            raise StoreError("not durable")
        commit = Commit([], self._now(), "")
        try:
            count = self._disk.recover(rows, commit)
        except StoreBroken as error:
            self._set_aside(error)
            raise
        if count:
            self._tell("changed", "", "")
        return count

    def rescue_ended(self) -> Owed:
        """All that could be found is back: give up the rest, and say what that is. Raises :class:`StoreError`."""
        if self._memory is not None or self._disk is None:
            raise StoreError("not durable")
        stop_ep = self.rescues[0].get("ep") if self.rescues else ""
        lost: Owed = []
        for name, account in self._disk.accounts.items():
            stop = next((start for start, ep in account.epochs if ep == stop_ep), account.next)
            for start, end in account.held:
                lost += [(name, *part) for part in _by_epoch(account, start, min(end, stop)) if start < stop]
        remaining = self.rescues[1:]
        properties = {_RESCUE: json.dumps(remaining)} | ({} if remaining else {FIRST: ""})
        commit = Commit([], self._now(), "", properties=properties)
        commit.readings = [
            Reading(event(AGENT), commit.now, "", packed(rows_lost(name, ep, start, end, "corrupt")), urgent=True)
            for name, ep, start, end in lost
        ]
        self._disk.give_up(commit, [(name, start, end) for name, _, start, end in lost])
        self._files.prune({str(one.get("file")) for one in self.rescues})
        self._tell("changed", "", "")
        return lost

    def close(self) -> Owed:
        """Write what can be written, let go of the files; say which rows in memory had to be left."""
        left: Owed = []
        if self._memory is not None:
            with suppress(StoreError):
                self._leave_memory()
        if self._memory is not None:
            left = [one for one in owed(self._memory.accounts) if one[2] >= self._floor.get(one[0], 0)]
            self._files.leave_note(self._memory.property("ep"), left=left)
        elif self._disk is not None:
            with suppress(StoreError):
                self._disk.set_property("clean", "1")
            self._files.leave_note(self._disk.property("ep"), owed=owed(self._disk.accounts))
        for database in (self._memory, self._disk):
            if database is not None:
                database.close()
        return left

    def _opened(self) -> Database:
        database = Database(self._files.path, self._max_bytes, self._bid, token_hex(4))
        self._files.opened(database.wal_bytes)
        return database

    def _begin_run(self, board: str) -> None:
        """Begin a new epoch if this is another computer, or if the machine went down without a good end: then the card
        may have lost what it said it had, and a number could be given twice."""
        disk = self._disk
        assert disk is not None
        known, boot = disk.property("board"), disk.property("boot")
        why = "other_board" if board and known and board != known else ""
        if not why and boot and boot != self._bid and disk.property("clean") != "1":
            why = "unclean_reboot"
        try:
            if why:
                disk.begin_epoch(token_hex(4), {})
            own = {"boot": self._bid, "clean": "0"} | ({"board": board} if board else {})
            changed = {name: value for name, value in own.items() if disk.property(name) != value}
            if changed:
                disk.commit(Commit([], self._now(), "", properties=changed))
        except StoreBroken as error:
            self._set_aside(error)
        except StoreError as error:
            self._go_on_in_memory(error)
        else:
            if why:
                self._tell("reset", why, "")

    def _commit_on_disk(self, commit: Commit) -> None:
        assert self._disk is not None
        try:
            self._disk.commit(commit)
        except StoreFull:
            # What was kept free for this is given back; then rows that are delivered make room.
            self._files.give_back()
            self._disk.cramp()
            self._disk.commit(commit)

    def _rows(self, stream: str, start: int, stop: int, limit: int) -> list[Row]:
        floor = stop if self._memory is None else min(stop, self._floor.get(stream, 0))
        found: list[Row] = []
        if start < floor and self._disk is not None:
            try:
                found = self._disk.rows(stream, start, floor, limit)
                self._check_whole(stream, found, start, floor if len(found) < limit else found[-1].seq + 1)
            except StoreBroken as error:
                self._set_aside(error)
                return []
            except StoreError as error:
                self._go_on_in_memory(error, readable=False)
                return []
        if self._memory is not None and len(found) < limit and floor < stop:
            found += self._memory.rows(stream, max(start, floor), stop, limit - len(found))
        return found

    def _check_whole(self, stream: str, found: Sequence[Row], start: int, stop: int) -> None:
        """A row that is owed and not there is damage, too. Raises :class:`StoreBroken`."""
        account = self.active.accounts.get(stream)
        if account is None or len(found) == stop - start:
            return
        for row in found:
            if row.seq > start and next(account.deliverable(start, row.seq), None):
                break
            start = row.seq + 1
        if next(account.deliverable(start, min(stop, account.next)), None):
            raise StoreBroken(f"{self._files.path}: a row of {stream} is missing")

    # To memory and back.

    def _begin_in_memory(self, error: StoreError) -> None:
        """The file cannot be opened for writing. If it can be read, its rows are sent all the same."""
        known = Known()
        with suppress(StoreError):
            self._disk = Database(self._files.path, self._max_bytes, self._bid, "", read_only=True)
            known = self._known_of(self._disk)
        self._into_memory(known, "not_durable", str(error))

    def _go_on_in_memory(self, error: StoreError, *, readable: bool = True) -> None:
        assert self._disk is not None
        if self._memory is not None:
            self._unreadable()
            return
        self._into_memory(self._known_of(self._disk), "not_durable", str(error))
        if not readable:
            self._unreadable()

    def _unreadable(self) -> None:
        """The file cannot even be read: what it has is held until it can."""
        if self._disk is not None:
            self._disk.close()
            self._disk = None
        for name, account in self.active.accounts.items():
            account.hold(self._floor.get(name, 0))
        self._tell("changed", "", "")

    def _into_memory(self, known: Known, why: str, detail: str) -> None:
        ep = token_hex(4)
        memory = Database(MEMORY, _MEMORY_BYTES, self._bid, ep)
        accounts = {name: account.copy() for name, account in known.accounts.items()}
        for account in accounts.values():
            account.begin_epoch(ep, account.next)
        properties = {**known.properties, "ep": ep}
        if not known.whole:
            properties[FIRST] = str(self._beyond_all(known))
        memory.absorb(accounts, [], properties, known.descriptions, Commit([], self._now(), ""))
        self._memory, self._blind = memory, not known.whole
        self._floor = {name: account.next for name, account in accounts.items()}
        self._probe_ms, self._probe_wait_ms = clock.mono_ms() + _PROBE_MS, _PROBE_MS
        self._tell("reset", why, detail)

    def _try_disk(self, now_ms: int) -> None:
        """See whether the disk takes rows again: those in memory."""
        self._probe_wait_ms = min(_MAX_PROBE_MS, self._probe_wait_ms * 2)
        self._probe_ms = now_ms + self._probe_wait_ms
        self._files.make_folder()
        try:
            self._leave_memory()
        except StoreBroken as error:
            self._set_aside(error)
        except StoreFull:
            self._files.give_back()
        except StoreError:
            # Opened anew next time: after an error of the disk, a connection is not to be trusted.
            if self._disk is not None:
                self._disk.close()
                self._disk = None
                with suppress(StoreError):
                    self._disk = Database(self._files.path, self._max_bytes, self._bid, "", read_only=True)
            if self._disk is None:
                self._unreadable()

    def _leave_memory(self) -> None:
        """Write what is in memory into the file, and go on there. Raises :class:`StoreError`."""
        memory = self._memory
        assert memory is not None
        if self._disk is not None and not self._disk.read_only and self._files.replaced():
            self._put_back(self._disk)
        if self._disk is None or self._disk.read_only:
            self._reopen()
        disk = self._disk
        assert disk is not None
        if disk.cramped:
            disk.relax()
        if self._blind:
            self._join(disk, memory)
            self._blind = False
            self._tell("changed", "", "")
        try:
            self._write_back(disk, memory)
        except StoreFull:
            self._files.give_back()
            disk.cramp()
            self._write_back(disk, memory)
        self._memory, self._floor, self._failing_since_ms = None, {}, None
        memory.close()
        self._hold_for_rescue()
        self._files.leave_note(disk.property("ep"))
        self._tell("durable", "", "")

    def _write_back(self, disk: Database, memory: Database) -> None:
        own = {name: value for name, value in disk.properties.items() if name == "board"}
        properties = {**memory.properties, **own, "boot": self._bid, "clean": "0"}
        accounts = {name: _released(account, self._floor.get(name, 1)) for name, account in memory.accounts.items()}
        disk.absorb(accounts, self._unsettled_rows(memory), properties, memory.descriptions(),
                    Commit([], self._now(), ""))  # fmt: skip

    def _reopen(self) -> None:
        """Open the file, which may be another than before, or a new one."""
        if self._disk is not None:
            self._disk.close()
            self._disk = None
        self._disk = self._opened()

    def _join(self, disk: Database, memory: Database) -> None:
        """Numbers were given without the file being known: its own accounts come first."""
        for name, older in disk.accounts.items():
            newer = memory.accounts.get(name)
            memory.put_account(name, _joined(older, newer, memory.property("ep")))
            self._floor[name] = older.next
        if rescue := disk.property(_RESCUE):
            memory.set_property(_RESCUE, rescue)

    def _unsettled_rows(self, memory: Database) -> Iterable[tuple[str, Sequence[Row]]]:
        for name, account in memory.accounts.items():
            for start, stop in list(account.settled.gaps(self._floor.get(name, 1), account.next)):
                for first in range(start, stop, _CHUNK_ROWS):
                    rows = memory.rows(name, first, min(stop, first + _CHUNK_ROWS), _CHUNK_ROWS)
                    if rows:
                        yield name, rows

    # Damage.

    def _known_of(self, database: Database) -> Known:
        descriptions: Mapping[str, bytes] = {}
        with suppress(StoreError):
            descriptions = database.descriptions()
        return Known(database.accounts, database.properties, descriptions, database.ids, whole=True)

    def _set_aside(self, error: StoreError) -> None:
        """The file is damaged: begin a new one, and leave the old one to the rescue."""
        source = self._memory or self._disk
        known = self._known_of(source) if source is not None else None
        damaged, self._disk = self._disk, None
        ids = damaged.ids if damaged is not None else {}
        try:
            aside: Path | None = self._files.set_aside()
        except OSError:
            aside = None
        if damaged is not None:
            damaged.close()
        if known is None:
            path = aside or self._files.path
            known = known_remains(path, log_of(path))
            ids = known.ids
        names = {str(number): name for name, number in ids.items()}
        self._begin_after(known, aside, names, str(error))

    def _begin_after(self, known: Known, aside: Path | None, names: Mapping[str, str], detail: str) -> None:
        rescue = _listed(known.properties.get(_RESCUE, ""))
        detail += f"; {aside.name}" if aside is not None else ""
        ep = token_hex(4) if self._memory is None else self._memory.property("ep")
        if aside is not None:
            rescue = [*rescue, {"file": aside.name, "ep": ep, "names": names}]
        properties = {name: value for name, value in known.properties.items() if name not in _OWN}
        properties |= {"ep": ep, "boot": self._bid, "clean": "0", _RESCUE: json.dumps(rescue)}
        if not known.whole:
            properties[FIRST] = str(self._beyond_all(known))
        accounts = {name: account.copy() for name, account in known.accounts.items()}
        for account in accounts.values():
            account.begin_epoch(ep, account.next)
        if self._memory is not None:
            self._begin_after_in_memory(rescue, detail)
            return
        try:
            self._disk = self._opened()
            self._disk.absorb(accounts, [], properties, known.descriptions, Commit([], self._now(), ""))
        except StoreError as error:
            if self._disk is not None:
                self._disk.close()
                self._disk = None
            whole = Known(known.accounts, {**known.properties, _RESCUE: json.dumps(rescue)}, known.descriptions,
                          known.ids, known.whole)  # fmt: skip
            self._into_memory(whole, "damaged", f"{detail}; {error}")
            self._unreadable()
            return
        self._hold_for_rescue()
        self._files.leave_note(ep)
        self._tell("reset", "damaged", detail)

    def _begin_after_in_memory(self, rescue: list[dict[str, Any]], detail: str) -> None:
        """The damage was found while numbers are given in memory: they go on there."""
        assert self._memory is not None
        self._memory.set_property(_RESCUE, json.dumps(rescue))
        self._unreadable()
        self._tell("reset", "damaged", detail)

    def _hold_for_rescue(self) -> None:
        """What is owed from before a rescue that has not ended is held, but for rows that are back already."""
        disk = self._disk
        assert disk is not None
        for one in self.rescues:
            for account in disk.accounts.values():
                stop = next((start for start, ep in account.epochs if ep == one.get("ep")), 0)
                account.hold(stop)

    def _beyond_all(self, known: Known) -> int:
        """A number that no stream can have reached, where not all is known: more than 100 a second since 1970."""
        seen = max((account.next for account in known.accounts.values()), default=1)
        return max(self._now().t // 10, clock.BUILD_MS // 10, seen)

    # A file that is not where it was.

    def _replace(self) -> None:
        """The path leads to another file: put a copy of what is open in its place."""
        disk = self._disk
        assert disk is not None
        try:
            self._put_back(disk)
        except StoreError as error:
            if self._disk is not disk:
                self._begin_in_memory(error)
            else:
                self._go_on_in_memory(error)
            return
        self._hold_for_rescue()
        self._tell("replaced", "replaced", str(self._files.path))

    def _put_back(self, disk: Database) -> None:
        self._files.make_folder()
        copy = self._files.path.with_name(self._files.path.name + ".copy")
        try:
            copy.unlink(missing_ok=True)
            disk.copy_to(copy)
            disk.close()  # before the new file is there: closing removes the log by its name
            self._disk = None
            if self._files.path.exists():
                self._files.set_aside("swapped")
            copy.replace(self._files.path)
        except OSError as error:
            raise StoreError(str(error)) from error
        self._disk = self._opened()
        self._files.leave_note(self._disk.property("ep"))

    def _tell(self, kind: str, why: str, detail: str) -> None:
        accounts = {name: account.copy() for name, account in self.active.accounts.items()}
        before = [(name, *one) for name, account in accounts.items() for one in account.before()[-1:]]
        self.news.append(News(kind, why, detail, self.active.property("ep"), accounts, before))


def _listed(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _by_epoch(account: StreamAccount, start: int, stop: int) -> list[tuple[str, int, int]]:
    parts = []
    while start < stop:
        end = min(stop, account.epoch_end(start))
        parts.append((account.epoch_of(start), start, end))
        start = end
    return parts


def _released(account: StreamAccount, floor: int) -> StreamAccount:
    """The account with nothing held, since all can be read again. Rows from ``floor`` on that were settled in memory
    never reach the ring."""
    released = account.copy()
    for start, stop in account.settled:
        released.gone.add(max(start, floor), stop)
    for pair in list(released.held):
        released.held.remove(*pair)
    return released


def _joined(older: StreamAccount, newer: StreamAccount | None, ep: str) -> StreamAccount:
    """One account of numbers that were given in the file, and later ones that were given without knowing it."""
    joined = older.copy()
    if newer is None:
        joined.begin_epoch(ep, joined.next)
        return joined
    begin = next(start for start, name in newer.epochs if name)
    joined.begin_epoch("", joined.next)
    joined.epochs += [one for one in newer.epochs if one[0] >= begin]
    joined.settled.add(older.next, begin)
    joined.gone.add(older.next, begin)
    for mine, theirs in ((joined.settled, newer.settled), (joined.gone, newer.gone)):
        for start, stop in theirs:
            mine.add(max(start, begin), stop)
    joined.next = newer.next
    return joined
