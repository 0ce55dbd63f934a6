"""Assigns numbers in memory while the file cannot be written, and moves the rows into the file afterwards.

file --(commits fail for some seconds)--> memory --(the disk can be written)--> file
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from secrets import token_hex

from agent.base.reading import Row
from agent.store.disk_failure import DiskProbe, FailureGrace
from agent.store.io.database import Database
from agent.store.io.databases import RESCUE_KEY, Databases, state_of
from agent.store.io.errors import StoreBroken, StoreError, StoreFull
from agent.store.io.lost_rows import UNWRITTEN_KEY
from agent.store.io.rescue.salvage import KnownState
from agent.store.recovery import in_new_epoch, merged, without_holds
from agent.store.unsettled_rows import RowRanges, unsettled_rows


class Overflow:
    """``grace``: how long commits may fail before the store switches to memory."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._limits = databases.settings.limits
        self._probe = DiskProbe(self._limits)
        self.grace = FailureGrace(self._limits)

    def start_in_memory(self, error: StoreError) -> None:
        """Start in memory: the file cannot be opened for writing. If it can be read, its rows are still sent."""
        state = KnownState()
        with suppress(StoreError):
            state = state_of(self._databases.open_disk_for_reading())
        self.enter_memory(state, "not_durable", str(error))

    def continue_in_memory(self, error: StoreError, *, readable: bool = True) -> None:
        """Continue in memory: the file cannot be written any more or, if not ``readable``, not even read."""
        if self._databases.memory is None:
            assert self._databases.disk is not None
            self.enter_memory(state_of(self._databases.disk), "not_durable", str(error))
            if readable:
                return
        self._databases.disk_unreadable()

    def enter_memory(self, state: KnownState, why: str, detail: str) -> None:
        """Assign numbers in memory, after those known from the file."""
        databases, epoch = self._databases, token_hex(4)
        memory = databases.open_memory(epoch)
        accounts = in_new_epoch(state.accounts, epoch)
        properties = {**state.properties, "ep": epoch, **databases.first_number(state)}
        memory.import_state(accounts, [], properties, state.descriptions, databases.empty_commit())
        databases.memory, databases.blind = memory, not state.whole
        databases.floor = {name: account.next for name, account in accounts.items()}
        self._probe.begin(databases.settings.mono_ms())
        databases.report("reset", why, detail)

    def try_disk(self) -> None:
        """Try to return to the disk if an attempt is due. Raises :class:`StoreBroken`."""
        if not self._probe.due(self._databases.settings.mono_ms()):
            return
        self._databases.files.create_directory()
        try:
            self.return_to_disk()
        except StoreBroken:
            raise
        except StoreFull:
            self._databases.files.release_reserve()
        except StoreError:
            self._reopen_for_reading()

    def return_to_disk(self) -> None:
        """Write the rows in memory to the file and continue there. Raises :class:`StoreError`."""
        databases, memory = self._databases, self._databases.memory
        assert memory is not None
        disk = self._writable_disk()
        if disk.capped:
            disk.uncap_size()
        if databases.blind:
            self._merge(disk, memory)
            databases.blind = False
            databases.report("changed")
        try:
            self._write_back(disk, memory)
        except StoreFull:
            databases.files.release_reserve()
            disk.cap_size()
            self._write_back(disk, memory)
        databases.memory, databases.floor = None, {}
        databases.files.aside_listed()
        self.grace.succeeded()
        memory.close()
        databases.hold_for_rescue()
        databases.files.write_note(disk.property("ep"))
        databases.report("durable")

    def unwritten(self, memory: Database) -> RowRanges:
        """Return the unsettled rows that are only in memory."""
        floor = self._databases.floor
        return [rows for rows in unsettled_rows(memory.accounts) if rows[2] >= floor.get(rows[0], 0)]

    def _writable_disk(self) -> Database:
        """Return the file at its path, open for writing."""
        databases = self._databases
        if databases.disk is not None and not databases.disk.read_only and databases.files.replaced():
            databases.put_back()
        if databases.disk is None or databases.disk.read_only:
            return databases.open_disk()
        return databases.disk

    def _reopen_for_reading(self) -> None:
        """Read through a new connection: after a disk error, the old one cannot be trusted."""
        if self._databases.disk is not None:
            with suppress(StoreError):
                self._databases.open_disk_for_reading()
        if self._databases.disk is None:
            self._databases.disk_unreadable()

    def _write_back(self, disk: Database, memory: Database) -> None:
        floor = self._databases.floor
        own = {name: value for name, value in disk.properties.items() if name == "board"}
        properties = {**memory.properties, **own, "boot": self._databases.settings.boot_id, "clean": "0"}
        accounts = {name: without_holds(account, floor.get(name, 1)) for name, account in memory.accounts.items()}
        properties[UNWRITTEN_KEY] = json.dumps(self.unwritten(memory))
        rows = self._unsettled_rows(memory)
        disk.import_state(accounts, rows, properties, memory.descriptions(), self._databases.empty_commit())
        disk.set_property(UNWRITTEN_KEY, "")

    def _merge(self, disk: Database, memory: Database) -> None:
        """Merge the accounts: numbers were assigned without knowing the file, whose own numbers come first."""
        for name, older in disk.accounts.items():
            newer = memory.accounts.get(name)
            memory.put_account(name, merged(older, newer, memory.property("ep")))
            self._databases.floor[name] = older.next
        if rescue := disk.property(RESCUE_KEY):
            memory.set_property(RESCUE_KEY, rescue)

    def _unsettled_rows(self, memory: Database) -> Iterable[tuple[str, Sequence[Row]]]:
        chunk = self._limits.capped_commit
        for name, account in memory.accounts.items():
            for start, stop in list(account.settled.gaps(self._databases.floor.get(name, 1), account.next)):
                for first in range(start, stop, chunk):
                    rows = memory.rows(name, first, min(stop, first + chunk), chunk)
                    if rows:
                        yield name, rows
