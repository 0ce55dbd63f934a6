"""A damaged file is set aside at once, and a new one begun with what is known of it; its rows come back later.

file --(damage: set aside)--> new file --(rescued rows come back)-->
"""

from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

from agent.base.events import rows_lost
from agent.base.reading import AGENT, Reading, Row, event, packed
from agent.store.io.database import FIRST
from agent.store.io.databases import RESCUE, Databases, known_of
from agent.store.io.errors import StoreBroken, StoreError
from agent.store.io.files import log_of
from agent.store.io.overflow import Overflow
from agent.store.io.rescue.remains import Known, known_remains
from agent.store.owed_rows import Owed
from agent.store.recovery import AsideFile, continued, lost_after_rescue, parse_rescues, rescues_text

_OWN = ("ep", "boot", "clean", RESCUE)
"""Properties of the file itself: not taken over from a damaged one."""


class Damage:
    """Where the disk does not take a new file, numbers are given in memory."""

    def __init__(self, databases: Databases, overflow: Overflow) -> None:
        self._databases = databases
        self._overflow = overflow

    def set_aside(self, error: StoreError) -> None:
        """The file is damaged: begin a new one, and leave the old one to the rescue."""
        databases = self._databases
        source = databases.memory or databases.disk
        known = known_of(source) if source is not None else None
        ids = dict(databases.disk.ids) if databases.disk is not None else {}
        try:
            aside: Path | None = databases.files.set_aside()
        except OSError:
            aside = None
        databases.close_disk()
        if known is None:
            path = aside or databases.files.path
            known = known_remains(path, log_of(path))
            ids = dict(known.ids)
        detail = f"{error}; {aside.name}" if aside is not None else str(error)
        self._begin(known, aside, {str(number): name for name, number in ids.items()}, detail)

    def rescued(self, rows: list[tuple[str, Row]]) -> int:
        """Take rows of a file that was set aside; how many of them were owed. Raises :class:`StoreError` where they
        cannot be taken now."""
        disk = self._databases.disk
        if self._databases.memory is not None or disk is None:
            raise StoreError("not durable")
        try:
            count = disk.recover(rows, self._databases.empty_commit())
        except StoreBroken as error:
            self.set_aside(error)
            raise
        if count:
            self._databases.tell("changed")
        return count

    def rescue_ended(self) -> Owed:
        """All that could be found is back: give up the rest, and say what that is. Raises :class:`StoreError`."""
        databases, disk = self._databases, self._databases.disk
        if databases.memory is not None or disk is None:
            raise StoreError("not durable")
        ended, remaining = databases.rescues[:1], databases.rescues[1:]
        lost = lost_after_rescue(disk.accounts, ended[0].epoch if ended else "")
        commit = databases.empty_commit()
        commit.properties = {RESCUE: rescues_text(remaining)} | ({} if remaining else {FIRST: ""})
        commit.readings = [
            Reading(event(AGENT), commit.now, "", packed(rows_lost(name, epoch, start, end, "corrupt")), urgent=True)
            for name, epoch, start, end in lost
        ]
        disk.give_up(commit, [(name, start, end) for name, _, start, end in lost])
        databases.files.prune({aside.file for aside in databases.rescues})
        databases.tell("changed")
        return lost

    def _begin(self, known: Known, aside: Path | None, names: Mapping[str, str], detail: str) -> None:
        databases = self._databases
        epoch = token_hex(4) if databases.memory is None else databases.memory.property("ep")
        rescues = parse_rescues(known.properties.get(RESCUE, ""))
        if aside is not None:
            rescues = [*rescues, AsideFile(aside.name, epoch, names)]
        text = rescues_text(rescues)
        if databases.memory is not None:
            # The damage was found while numbers are given in memory: they go on there.
            databases.memory.set_property(RESCUE, text)
            databases.disk_unreadable()
            databases.tell("reset", "damaged", detail)
            return
        try:
            self._begin_file(known, epoch, text)
        except StoreError as error:
            databases.close_disk()
            properties = {**known.properties, RESCUE: text}
            known = Known(known.accounts, properties, known.descriptions, known.ids, known.whole)
            self._overflow.enter(known, "damaged", f"{detail}; {error}")
            databases.disk_unreadable()
            return
        databases.hold_for_rescue()
        databases.files.leave_note(epoch)
        databases.tell("reset", "damaged", detail)

    def _begin_file(self, known: Known, epoch: str, rescues: str) -> None:
        databases = self._databases
        properties = {name: value for name, value in known.properties.items() if name not in _OWN}
        properties |= {"ep": epoch, "boot": databases.settings.boot_id, "clean": "0", RESCUE: rescues}
        properties |= databases.first_number(known)
        accounts = continued(known.accounts, epoch)
        disk = databases.open_disk()
        disk.absorb(accounts, [], properties, known.descriptions, databases.empty_commit())
