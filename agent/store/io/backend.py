"""Where rows go: into the file, or into memory while the file cannot be written, and the transitions in between.

    file --(commits fail for some seconds)--> memory --(the disk can be written)--> file     (overflow)
    file --(damage: set aside)--> new file --(rescued rows come back)-->                     (damage)
    file --(deleted or replaced underneath)--> a copy of it at its path                      (here)

All of this blocks and must be called from the store's thread; changes are reported in ``changes``.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from secrets import token_hex

from agent.base.reading import Row
from agent.store.commit import Commit
from agent.store.io.damage import Damage
from agent.store.io.database import Database
from agent.store.io.databases import Databases, DatabaseSettings
from agent.store.io.errors import StoreBroken, StoreError, StoreFull, StoreNewer
from agent.store.io.files import StoreFiles
from agent.store.io.lost_rows import LostRows
from agent.store.io.overflow import Overflow
from agent.store.recovery import AsideFile, new_epoch_reason
from agent.store.store_change import StoreChange
from agent.store.unsettled_rows import RowRanges, unsettled_rows

ReadRange = tuple[str, int, int, int]


class Backend:
    """Chooses where rows go: into the file, or into memory while the file cannot be written."""

    def __init__(self, files: StoreFiles, settings: DatabaseSettings) -> None:
        self._files = files
        self._settings = settings
        self._databases = Databases(files, settings)
        self._overflow = Overflow(self._databases)
        self._damage = Damage(self._databases, self._overflow)
        self._lost_rows = LostRows(self._databases)
        self._disk_check_ms = 0

    @property
    def changes(self) -> deque[StoreChange]:
        """What happened to the files, oldest first. The reader empties it."""
        return self._databases.changes

    @property
    def durable(self) -> bool:
        """True if committed rows are on disk."""
        return self._databases.memory is None

    @property
    def max_rows(self) -> int:
        """The maximum number of readings in a commit: small while the log must not grow."""
        disk, limits = self._databases.disk, self._settings.limits
        return limits.capped_commit if disk is not None and disk.capped else limits.max_commit

    @property
    def active(self) -> Database:
        """The database that assigns numbers now."""
        return self._databases.active

    @property
    def disk(self) -> Database | None:
        """The open file, if any."""
        return self._databases.disk

    @property
    def rescues(self) -> list[AsideFile]:
        """Files that were set aside and not rescued yet."""
        return self._databases.rescues

    def open(self, board: str) -> None:
        """Open the file, or begin in memory. Raises :class:`~agent.store.io.errors.StoreNewer`."""
        note = self._files.read_note()
        aside = self._files.resume_set_aside()
        missing = bool(note) and not self._files.exists() and aside is None
        self._lost_rows.read_note(note, file_missing=missing)
        self._files.create_directory()
        try:
            self._databases.open_disk()
        except StoreBroken as error:
            self._damage.set_aside(error)
        except StoreNewer:
            raise
        except StoreError as error:
            self._overflow.start_in_memory(error)
        else:
            if missing:
                self._databases.report("reset", "missing", str(note.get("ep", "")))
            if aside is None or not self._damage.resume_set_aside(aside):
                self._databases.hold_for_rescue()
                self._begin_run(board)

    def record_losses(self) -> None:
        """Complete :meth:`open`: settle what the previous run lost, and record the events that report it, in one
        transaction."""
        try:
            self._lost_rows.record()
        except StoreBroken as error:
            self._damage.set_aside(error)
            self._lost_rows.record()
        except StoreError as error:
            self._overflow.continue_in_memory(error)
            self._lost_rows.record()
        self._files.write_note(self.active.property("ep"))

    def skip_disk_grace(self) -> None:
        """Stop waiting for a failing disk: there is no time."""
        self._overflow.grace.skip()

    def commit(self, commit: Commit) -> Commit:
        """Assign numbers to the readings. Raises :class:`StoreError` if a retry may succeed soon."""
        if self._databases.memory is not None:
            return self._databases.memory.commit(commit)
        try:
            self._commit_on_disk(commit)
        except StoreBroken as error:
            self._damage.set_aside(error)
            return self.active.commit(commit)
        except StoreError as error:
            if not self._overflow.grace.failed(self._settings.mono_ms()):
                raise
            self._overflow.continue_in_memory(error)
            return self.active.commit(commit)
        self._overflow.grace.succeeded()
        return commit

    def read(self, ranges: Iterable[ReadRange]) -> list[list[Row]]:
        """Return the rows of ``[start, stop)`` for each (stream, start, stop, limit), ascending, at most ``limit``.
        Rows that cannot be read are held from now on."""
        return [self._rows(*span) for span in ranges]

    def description(self, meta_hash: str) -> bytes:
        """Return the bytes of a description; empty if unavailable."""
        return self._databases.description(meta_hash)

    def newest_ms(self) -> int:
        """Return the newest trusted time of any row; 0 if there is none."""
        try:
            return self.disk.newest_ms() if self.disk is not None else 0
        except StoreBroken as error:
            self._damage.set_aside(error)
        except StoreError:
            pass
        return 0

    def begin_epoch(self, epoch: str, since: Mapping[str, int]) -> None:
        """Begin a new epoch. If the disk cannot store it, the epoch begins in memory."""
        try:
            self.active.begin_epoch(epoch, since)
        except StoreBroken as error:
            self._damage.set_aside(error)
        except StoreError as error:
            self._overflow.continue_in_memory(error)
        else:
            self._databases.report("changed")

    def upkeep(self) -> None:
        """Do periodic maintenance; call it every few seconds."""
        if self._databases.memory is not None:
            try:
                self._overflow.try_disk()
            except StoreBroken as error:
                self._damage.set_aside(error)
        elif self.disk is not None and self._settings.mono_ms() >= self._disk_check_ms:
            self._disk_check_ms = self._settings.mono_ms() + round(self._settings.limits.disk_check_s * 1000)
            self._check_disk(self.disk)

    def store_rescued(self, rows: list[tuple[str, Row]]) -> int:
        """Store rows rescued from a file that was set aside; return how many were unsettled. Raises :class:`StoreError`
        if they cannot be stored now."""
        return self._damage.store_rescued(rows)

    def end_rescue(self) -> RowRanges:
        """End a rescue: give up the rows that were not found and return them. Raises :class:`StoreError`."""
        return self._damage.end_rescue()

    def close(self) -> RowRanges:
        """Write what can be written and close the files; return the rows in memory that could not be written."""
        unwritten: RowRanges = []
        if self._databases.memory is not None:
            with suppress(StoreError):
                self._overflow.return_to_disk()
        memory, disk = self._databases.memory, self.disk
        if memory is not None:
            unwritten = self._overflow.unwritten(memory)
            self._files.write_note(memory.property("ep"), unwritten=unwritten)
        elif disk is not None:
            with suppress(StoreError):
                disk.set_property("clean", "1")
            self._files.write_note(disk.property("ep"), unsettled=unsettled_rows(disk.accounts))
        self._databases.close()
        return unwritten

    def _begin_run(self, board: str) -> None:
        """Record that this run uses the file, in a new epoch if necessary."""
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
        except StoreBroken as error:
            self._damage.set_aside(error)
        except StoreError as error:
            self._overflow.continue_in_memory(error)
        else:
            if why:
                self._databases.report("reset", why)

    def _commit_on_disk(self, commit: Commit) -> None:
        disk = self.active
        try:
            disk.commit(commit)
        except StoreFull:
            # Release the reserve kept for this case; then delivered rows make room.
            self._files.release_reserve()
            disk.cap_size()
            disk.commit(commit)

    def _rows(self, stream: str, start: int, stop: int, limit: int) -> list[Row]:
        try:
            return self._databases.rows(stream, start, stop, limit)
        except StoreBroken as error:
            self._damage.set_aside(error)
        except StoreError as error:
            self._overflow.continue_in_memory(error, readable=False)
        return []

    def _check_disk(self, disk: Database) -> None:
        """Check that the file is still in its place, and how much disk space is free."""
        room_bytes, wal_bytes = self._files.free_bytes(), disk.wal_bytes
        if self._files.replaced():
            self._replace()
        elif not disk.capped and room_bytes < 4 * wal_bytes:
            disk.checkpoint()  # while there is space for it
        elif disk.capped and room_bytes > 4 * wal_bytes:
            with suppress(StoreError):
                disk.uncap_size()
                self._files.opened(wal_bytes)

    def _replace(self) -> None:
        """Replace whatever is at the path with a copy of the open file."""
        disk = self.disk
        try:
            self._databases.put_back()
        except StoreError as error:
            if self.disk is not disk:
                self._overflow.start_in_memory(error)
            else:
                self._overflow.continue_in_memory(error)
            return
        self._databases.hold_for_rescue()
        self._databases.report("replaced", "replaced", str(self._files.path))
