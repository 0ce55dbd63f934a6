"""Makes room in the store's file: deletes rows and reports those that were not delivered."""

from agent.base.events import Why, rows_lost
from agent.base.reading import AGENT, Reading, event, packed
from agent.store.commit import Commit
from agent.store.io.database_tables import Tables
from agent.store.retention import next_eviction


class RowEvictor:
    """Works inside the transactions of ``tables``. ``why``: the reason given in its events."""

    def __init__(self, tables: Tables, why: Why) -> None:
        self._tables = tables
        self._why = why

    def make_room(self, commit: Commit, limit_pages: int, may_shed: bool = True) -> list[Reading]:
        """Delete rows until the file fits; return the events that report undelivered ones. ``may_shed``: whether
        undelivered rows may be deleted."""
        events: list[Reading] = []
        while self._tables.used_pages() > limit_pages:
            eviction = next_eviction(self._tables.accounts, self._tables.time_of, may_shed)
            if eviction is None:
                break
            if eviction.undelivered:
                commit.shed.append(eviction.rows)
                events.append(self._lost(commit, *eviction.rows))
            self._delete(*eviction.rows)
            commit.gone.append(eviction.rows)
        return events

    def _delete(self, name: str, start: int, stop: int) -> None:
        account = self._tables.touch(name)
        self._tables.delete(name, start, stop)
        account.settled.add(start, stop)
        account.gone.add(start, stop)

    def _lost(self, commit: Commit, name: str, start: int, stop: int) -> Reading:
        body = rows_lost(name, self._tables.accounts[name].epoch_of(start), start, stop, self._why)
        return Reading(event(AGENT), commit.now, commit.meta_hash, packed(body))
