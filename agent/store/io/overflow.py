"""Numbers are given in memory while the file cannot be written; when it can, what is there follows into the file.

file --(commits fail for some seconds)--> memory --(the disk takes it)--> file
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from secrets import token_hex

from agent.base.reading import Row
from agent.store.disk_patience import DiskPatience, Probe
from agent.store.io.database import Database
from agent.store.io.databases import RESCUE, Databases, known_of
from agent.store.io.errors import StoreBroken, StoreError, StoreFull
from agent.store.io.rescue.remains import Known
from agent.store.recovery import continued, joined, released


class Overflow:
    """``patience``: how long commits may fail before."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._limits = databases.settings.limits
        self._probe = Probe(self._limits)
        self.patience = DiskPatience(self._limits)

    def begin(self, error: StoreError) -> None:
        """The file cannot be opened for writing. If it can be read, its rows are sent all the same."""
        known = Known()
        with suppress(StoreError):
            known = known_of(self._databases.open_disk_for_reading())
        self.enter(known, "not_durable", str(error))

    def go_on(self, error: StoreError, *, readable: bool = True) -> None:
        """The file cannot be written any more, or (``readable``: no) not even read."""
        if self._databases.memory is None:
            assert self._databases.disk is not None
            self.enter(known_of(self._databases.disk), "not_durable", str(error))
            if readable:
                return
        self._databases.disk_unreadable()

    def enter(self, known: Known, why: str, detail: str) -> None:
        """Give numbers in memory, behind what is known of the file."""
        databases, epoch = self._databases, token_hex(4)
        memory = databases.open_memory(epoch)
        accounts = continued(known.accounts, epoch)
        properties = {**known.properties, "ep": epoch, **databases.first_number(known)}
        memory.absorb(accounts, [], properties, known.descriptions, databases.empty_commit())
        databases.memory, databases.blind = memory, not known.whole
        databases.floor = {name: account.next for name, account in accounts.items()}
        self._probe.begin(databases.settings.mono_ms())
        databases.tell("reset", why, detail)

    def try_disk(self) -> None:
        """See whether the disk takes rows again, if it is time to. Raises :class:`StoreBroken`."""
        if not self._probe.due(self._databases.settings.mono_ms()):
            return
        self._databases.files.make_folder()
        try:
            self.leave()
        except StoreBroken:
            raise
        except StoreFull:
            self._databases.files.give_back()
        except StoreError:
            self._open_anew()

    def leave(self) -> None:
        """Write what is in memory into the file, and go on there. Raises :class:`StoreError`."""
        databases, memory = self._databases, self._databases.memory
        assert memory is not None
        disk = self._writable_disk()
        if disk.cramped:
            disk.relax()
        if databases.blind:
            self._join(disk, memory)
            databases.blind = False
            databases.tell("changed")
        try:
            self._write_back(disk, memory)
        except StoreFull:
            databases.files.give_back()
            disk.cramp()
            self._write_back(disk, memory)
        databases.memory, databases.floor = None, {}
        self.patience.worked()
        memory.close()
        databases.hold_for_rescue()
        databases.files.leave_note(disk.property("ep"))
        databases.tell("durable")

    def _writable_disk(self) -> Database:
        """The file at its place, open for writing."""
        databases = self._databases
        if databases.disk is not None and not databases.disk.read_only and databases.files.replaced():
            databases.put_back()
        if databases.disk is None or databases.disk.read_only:
            return databases.open_disk()
        return databases.disk

    def _open_anew(self) -> None:
        """After an error of the disk, a connection is not to be trusted: read from another one."""
        if self._databases.disk is not None:
            with suppress(StoreError):
                self._databases.open_disk_for_reading()
        if self._databases.disk is None:
            self._databases.disk_unreadable()

    def _write_back(self, disk: Database, memory: Database) -> None:
        floor = self._databases.floor
        own = {name: value for name, value in disk.properties.items() if name == "board"}
        properties = {**memory.properties, **own, "boot": self._databases.settings.boot_id, "clean": "0"}
        accounts = {name: released(account, floor.get(name, 1)) for name, account in memory.accounts.items()}
        rows = self._unsettled_rows(memory)
        disk.absorb(accounts, rows, properties, memory.descriptions(), self._databases.empty_commit())

    def _join(self, disk: Database, memory: Database) -> None:
        """Numbers were given without the file being known: its own accounts come first."""
        for name, older in disk.accounts.items():
            newer = memory.accounts.get(name)
            memory.put_account(name, joined(older, newer, memory.property("ep")))
            self._databases.floor[name] = older.next
        if rescue := disk.property(RESCUE):
            memory.set_property(RESCUE, rescue)

    def _unsettled_rows(self, memory: Database) -> Iterable[tuple[str, Sequence[Row]]]:
        chunk = self._limits.cramped_commit
        for name, account in memory.accounts.items():
            for start, stop in list(account.settled.gaps(self._databases.floor.get(name, 1), account.next)):
                for first in range(start, stop, chunk):
                    rows = memory.rows(name, first, min(stop, first + chunk), chunk)
                    if rows:
                        yield name, rows
