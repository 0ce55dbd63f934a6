"""Handles a damaged file: sets it aside at once and starts a new one with its known state; its rows are rescued later.

file --(damage: set aside)--> new file --(rescued rows come back)-->
"""

from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

from agent.base.events import rows_lost
from agent.base.reading import AGENT, Reading, Row, event, packed
from agent.store.io.database import FIRST_NUMBER_KEY
from agent.store.io.database_schema import UNCHECKED_KEY
from agent.store.io.databases import RESCUE_KEY, Databases, state_of
from agent.store.io.errors import StoreBroken, StoreError
from agent.store.io.files import wal_path
from agent.store.io.overflow import Overflow
from agent.store.io.rescue.salvage import KnownState, salvage_state
from agent.store.recovery import AsideFile, in_new_epoch, lost_after_rescue, parse_rescues, rescues_text
from agent.store.unsettled_rows import RowRanges

_OWN = ("ep", "boot", "clean", RESCUE_KEY, UNCHECKED_KEY)
"""Properties of the file itself, not copied from a damaged one."""


class Damage:
    """Replaces damaged files. If the disk cannot create a new file, numbers are assigned in memory."""

    def __init__(self, databases: Databases, overflow: Overflow) -> None:
        self._databases = databases
        self._overflow = overflow

    def set_aside(self, error: StoreError) -> None:
        """Set the damaged file aside for the rescue and start a new one."""
        databases = self._databases
        source = databases.memory or databases.disk
        state = state_of(source) if source is not None else None
        ids = dict(databases.disk.ids) if databases.disk is not None else {}
        try:
            aside: Path | None = databases.files.set_aside()
        except OSError:
            aside = None
        databases.close_disk()
        if state is None:
            path = aside or databases.files.path
            state = salvage_state(path, wal_path(path))
            ids = dict(state.ids)
        detail = f"{error}; {aside.name}" if aside is not None else str(error)
        self._begin(state, aside, {str(number): name for name, number in ids.items()}, detail)

    def resume_set_aside(self, aside: Path) -> bool:
        """Continue if the previous run was cut off between setting a file aside and starting a new one; return whether
        it was."""
        databases = self._databases
        if databases.active.accounts or RESCUE_KEY in databases.active.properties:
            databases.files.aside_listed()
            return False
        databases.close_disk()
        state = salvage_state(aside, wal_path(aside))
        self._begin(state, aside, {str(number): name for name, number in state.ids.items()}, aside.name)
        return True

    def store_rescued(self, rows: list[tuple[str, Row]]) -> int:
        """Store rows rescued from a file that was set aside; return how many were unsettled. Raises :class:`StoreError`
        if they cannot be stored now."""
        disk = self._databases.disk
        if self._databases.memory is not None or disk is None:
            raise StoreError("not durable")
        try:
            count = disk.restore_rescued(rows, self._databases.empty_commit())
        except StoreBroken as error:
            self.set_aside(error)
            raise
        if count:
            self._databases.report("changed")
        return count

    def end_rescue(self) -> RowRanges:
        """End a rescue: give up the rows that were not found and return them. Raises :class:`StoreError`."""
        databases, disk = self._databases, self._databases.disk
        if databases.memory is not None or disk is None:
            raise StoreError("not durable")
        ended, remaining = databases.rescues[:1], databases.rescues[1:]
        lost = lost_after_rescue(disk.accounts, ended[0]) if ended else []
        commit = databases.empty_commit()
        commit.properties = {RESCUE_KEY: rescues_text(remaining)} | ({} if remaining else {FIRST_NUMBER_KEY: ""})
        commit.readings = [
            Reading(event(AGENT), commit.now, "", packed(rows_lost(name, epoch, start, end, "corrupt")), urgent=True)
            for name, epoch, start, end in lost
        ]
        disk.give_up(commit, [(name, start, end) for name, _, start, end in lost])
        databases.files.prune({aside.file for aside in databases.rescues})
        databases.report("changed")
        return lost

    def _begin(self, state: KnownState, aside: Path | None, names: Mapping[str, str], detail: str) -> None:
        databases = self._databases
        epoch = token_hex(4)
        known = {name: account.next for name, account in state.accounts.items()}
        stops = known if databases.memory is None else databases.floor
        rescues = parse_rescues(state.properties.get(RESCUE_KEY, ""))
        if aside is not None:
            rescues = [*rescues, AsideFile(aside.name, names, stops)]
        text = rescues_text(rescues)
        if databases.memory is not None:
            # The damage was found while numbers are assigned in memory: continue there.
            databases.memory.set_property(RESCUE_KEY, text)
            databases.disk_unreadable()
            databases.report("reset", "damaged", detail)
            return
        try:
            self._begin_file(state, epoch, text)
        except StoreError as error:
            databases.close_disk()
            properties = {**state.properties, RESCUE_KEY: text}
            state = KnownState(state.accounts, properties, state.descriptions, state.ids, state.whole)
            self._overflow.enter_memory(state, "damaged", f"{detail}; {error}")
            databases.disk_unreadable()
            return
        databases.hold_for_rescue()
        databases.files.aside_listed()
        databases.files.write_note(epoch)
        databases.report("reset", "damaged", detail)

    def _begin_file(self, state: KnownState, epoch: str, rescues: str) -> None:
        databases = self._databases
        properties = {name: value for name, value in state.properties.items() if name not in _OWN}
        properties |= {"ep": epoch, "boot": databases.settings.boot_id, "clean": "0", RESCUE_KEY: rescues}
        properties |= databases.first_number(state)
        accounts = in_new_epoch(state.accounts, epoch)
        disk = databases.open_disk()
        disk.import_state(accounts, [], properties, state.descriptions, databases.empty_commit())
