"""Where rows go: into the file, or, while it cannot be written, into memory; and how one follows the other.

    file --(commits fail for some seconds)--> memory --(the disk takes it)--> file     (store_overflow)
    file --(damage: set aside)--> new file --(rescued rows come back)-->               (store_damage)
    file --(deleted or swapped underneath)--> a copy of it in its place                (here)

All of this blocks and belongs in the store's thread; what changed is told in ``news``.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from secrets import token_hex

from agent.base.reading import Row, missing
from agent.store.commit import Commit, Range
from agent.store.io.damage import Damage
from agent.store.io.database import Database
from agent.store.io.databases import Databases, DatabaseSettings
from agent.store.io.errors import StoreBroken, StoreError, StoreFull, StoreNewer
from agent.store.io.files import StoreFiles
from agent.store.io.overflow import Overflow
from agent.store.news import News
from agent.store.owed_rows import Owed, owed, parse_owed
from agent.store.recovery import AsideFile, new_epoch_reason

Wanted = tuple[str, int, int, int]


class Backend:
    """``left``: rows that the run before could not write. ``missing``: rows that were owed in a file that is not there
    any more."""

    def __init__(self, files: StoreFiles, settings: DatabaseSettings) -> None:
        self._files = files
        self._settings = settings
        self._databases = Databases(files, settings)
        self._overflow = Overflow(self._databases)
        self._damage = Damage(self._databases, self._overflow)
        self._look_ms = 0
        self.left: Owed = []
        self.missing: Owed = []

    @property
    def news(self) -> deque[News]:
        """What happened to the files, oldest first; to be emptied by the reader."""
        return self._databases.news

    @property
    def durable(self) -> bool:
        """Whether what is committed is on the disk."""
        return self._databases.memory is None

    @property
    def max_rows(self) -> int:
        """How many readings a commit may have: few where the log must not grow."""
        disk, limits = self._databases.disk, self._settings.limits
        return limits.cramped_commit if disk is not None and disk.cramped else limits.max_commit

    @property
    def active(self) -> Database:
        """Where numbers are given now."""
        return self._databases.active

    @property
    def disk(self) -> Database | None:
        """The open file, if there is one."""
        return self._databases.disk

    @property
    def rescues(self) -> list[AsideFile]:
        """Files that were set aside and not read yet."""
        return self._databases.rescues

    def open(self, board: str) -> None:
        """Open the file, or begin without. Raises :class:`~agent.store.io.errors.StoreNewer`."""
        note = self._files.note()
        missing = bool(note) and not self._files.there()
        self.left = parse_owed(note.get("left"))
        self.missing = parse_owed(note.get("owed")) if missing else []
        self._files.make_folder()
        try:
            self._databases.open_disk()
        except StoreBroken as error:
            self._damage.set_aside(error)
        except StoreNewer:
            raise
        except StoreError as error:
            self._overflow.begin(error)
        else:
            if missing:
                self._databases.tell("reset", "missing", str(note.get("ep", "")))
            self._databases.hold_for_rescue()
            self._begin_run(board)
        self._files.leave_note(self.active.property("ep"))

    def hurry(self) -> None:
        """There is no time to wait for a disk."""
        self._overflow.patience.hurry()

    def commit(self, commit: Commit) -> Commit:
        """Give the readings their numbers. Raises :class:`StoreError` where that is worth another try soon."""
        if self._databases.memory is not None:
            return self._databases.memory.commit(commit)
        try:
            self._commit_on_disk(commit)
        except StoreBroken as error:
            self._damage.set_aside(error)
            return self.active.commit(commit)
        except StoreError as error:
            if not self._overflow.patience.failed(self._settings.mono_ms()):
                raise
            self._overflow.go_on(error)
            return self.active.commit(commit)
        self._overflow.patience.worked()
        return commit

    def read(self, wanted: Iterable[Wanted]) -> list[list[Row]]:
        """For each (stream, start, stop, limit) the rows of ``[start, stop)``, rising, at most ``limit``. What cannot
        be read is held from now on."""
        return [self._rows(*span) for span in wanted]

    def description(self, meta_hash: str) -> bytes:
        """The bytes of a description; empty where it cannot be had."""
        return self._databases.description(meta_hash)

    def newest_ms(self) -> int:
        """The newest trusted time of any row; 0 where there is none."""
        try:
            return self.disk.newest_ms() if self.disk is not None else 0
        except StoreBroken as error:
            self._damage.set_aside(error)
        except StoreError:
            pass
        return 0

    def begin_epoch(self, epoch: str, since: Mapping[str, int]) -> None:
        """Count numbers to another epoch. Where the disk does not take that, it begins in memory."""
        try:
            self.active.begin_epoch(epoch, since)
        except StoreBroken as error:
            self._damage.set_aside(error)
        except StoreError as error:
            self._overflow.go_on(error)
        else:
            self._databases.tell("changed")

    def upkeep(self) -> None:
        """What is to be looked at from time to time, at least every few seconds."""
        if self._databases.memory is not None:
            try:
                self._overflow.try_disk()
            except StoreBroken as error:
                self._damage.set_aside(error)
        elif self.disk is not None and self._settings.mono_ms() >= self._look_ms:
            self._look_ms = self._settings.mono_ms() + round(self._settings.limits.look_s * 1000)
            self._look_at(self.disk)

    def rescued(self, rows: list[tuple[str, Row]]) -> int:
        """Take rows of a file that was set aside; how many of them were owed. Raises :class:`StoreError` where they
        cannot be taken now."""
        return self._damage.rescued(rows)

    def rescue_ended(self) -> Owed:
        """All that could be found is back: give up the rest, and say what that is. Raises :class:`StoreError`."""
        return self._damage.rescue_ended()

    def close(self) -> Owed:
        """Write what can be written, let go of the files; say which rows in memory had to be left."""
        left: Owed = []
        if self._databases.memory is not None:
            with suppress(StoreError):
                self._overflow.leave()
        memory, disk, floor = self._databases.memory, self.disk, self._databases.floor
        if memory is not None:
            left = [rows for rows in owed(memory.accounts) if rows[2] >= floor.get(rows[0], 0)]
            self._files.leave_note(memory.property("ep"), left=left)
        elif disk is not None:
            with suppress(StoreError):
                disk.set_property("clean", "1")
            self._files.leave_note(disk.property("ep"), owed=owed(disk.accounts))
        self._databases.close()
        return left

    def _begin_run(self, board: str) -> None:
        """Note that this run has the file, in a new epoch where it must be."""
        disk = self.active
        why = new_epoch_reason(disk.properties, board, self._settings.boot_id)
        try:
            if why:
                disk.begin_epoch(token_hex(4), {})
            own = {"boot": self._settings.boot_id, "clean": "0"} | ({"board": board} if board else {})
            changed = {name: value for name, value in own.items() if disk.property(name) != value}
            if changed:
                commit = self._databases.empty_commit()
                commit.properties = changed
                disk.commit(commit)
            self.left = self._no_longer_owed(disk)
        except StoreBroken as error:
            self._damage.set_aside(error)
        except StoreError as error:
            self._overflow.go_on(error)
        else:
            if why:
                self._databases.tell("reset", why)

    def _no_longer_owed(self, disk: Database) -> Owed:
        """Of the rows that the run before could not write, those that are not there: they are counted as lost, so they
        are not owed. (Its accounts may have been written, and its rows not.)"""
        lost: Owed = []
        gone: list[Range] = []
        for name, epoch, start, stop in self.left:
            account = disk.accounts.get(name)
            if account is None or start >= account.next or account.epoch_of(start) != epoch:
                lost.append((name, epoch, start, stop))  # the file has never heard of them
                continue
            for first, after in missing(disk.rows(name, start, stop, stop - start), start, stop):
                lost.append((name, epoch, first, after))
                gone += [(name, *owing) for owing in account.deliverable(first, min(after, account.next))]
        if gone:
            disk.give_up(self._databases.empty_commit(), gone)
        return lost

    def _commit_on_disk(self, commit: Commit) -> None:
        disk = self.active
        try:
            disk.commit(commit)
        except StoreFull:
            # What was kept free for this is given back; then rows that are delivered make room.
            self._files.give_back()
            disk.cramp()
            disk.commit(commit)

    def _rows(self, stream: str, start: int, stop: int, limit: int) -> list[Row]:
        try:
            return self._databases.rows(stream, start, stop, limit)
        except StoreBroken as error:
            self._damage.set_aside(error)
        except StoreError as error:
            self._overflow.go_on(error, readable=False)
        return []

    def _look_at(self, disk: Database) -> None:
        """See whether the file is where it was, and what room it has."""
        room_bytes, wal_bytes = self._files.free_bytes(), disk.wal_bytes
        if self._files.replaced():
            self._replace()
        elif not disk.cramped and room_bytes < 4 * wal_bytes:
            disk.write_log_back()  # while there is room for it
        elif disk.cramped and room_bytes > 4 * wal_bytes:
            with suppress(StoreError):
                disk.relax()
                self._files.opened(wal_bytes)

    def _replace(self) -> None:
        """The path leads to another file: put a copy of what is open in its place."""
        disk = self.disk
        try:
            self._databases.put_back()
        except StoreError as error:
            if self.disk is not disk:
                self._overflow.begin(error)
            else:
                self._overflow.go_on(error)
            return
        self._databases.hold_for_rescue()
        self._databases.tell("replaced", "replaced", str(self._files.path))
