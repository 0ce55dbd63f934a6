"""Makes room in the store's file: deletes what has to leave, and tells of what was not delivered."""

from agent.base.events import Why, rows_lost
from agent.base.reading import AGENT, Reading, event, packed
from agent.store.commit import Commit
from agent.store.io.database_tables import Tables
from agent.store.retention import next_to_leave


class Room:
    """Works inside the transactions of these tables. ``why``: the reason that its events give."""

    def __init__(self, tables: Tables, why: Why) -> None:
        self._tables = tables
        self._why = why

    def make(self, commit: Commit, limit_pages: int, sheds: bool = True) -> list[Reading]:
        """Let rows go until the file fits, and give the events that tell of undelivered ones. ``sheds``: whether such
        may go at all."""
        events: list[Reading] = []
        while self._tables.used_pages() > limit_pages:
            leaving = next_to_leave(self._tables.accounts, self._tables.time_of, sheds)
            if leaving is None:
                break
            if leaving.undelivered:
                commit.shed.append(leaving.rows)
                events.append(self._lost(commit, *leaving.rows))
            self._delete(*leaving.rows)
            commit.gone.append(leaving.rows)
        return events

    def _delete(self, name: str, start: int, stop: int) -> None:
        account = self._tables.touch(name)
        self._tables.delete(name, start, stop)
        account.settled.add(start, stop)
        account.gone.add(start, stop)

    def _lost(self, commit: Commit, name: str, start: int, stop: int) -> Reading:
        body = rows_lost(name, self._tables.accounts[name].epoch_of(start), start, stop, self._why)
        return Reading(event(AGENT), commit.now, commit.meta_hash, packed(body))
