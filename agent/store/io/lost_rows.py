"""Finds out what the previous run lost, and reports it: the rows are settled in the transaction that stores the events,
so that a power cut neither hides a loss nor reports it twice."""

import json
from collections.abc import Mapping
from typing import Any

from agent.base.events import rows_lost
from agent.base.reading import AGENT, Reading, event, missing, packed
from agent.store.commit import Range
from agent.store.io.database import Database
from agent.store.io.databases import Databases
from agent.store.unsettled_rows import LOST_EPOCH, RowRanges, merged_rows, parse_row_ranges

UNWRITTEN_KEY = "unwritten"
"""The property that lists rows of memory while they are being written to the file: their accounts come first."""


class LostRows:
    """``unwritten``: rows that the previous run could not write. ``missing``: unsettled rows of a file that no longer
    exists."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self.unwritten: RowRanges = []
        self.missing: RowRanges = []

    def read_note(self, note: Mapping[str, Any], *, file_missing: bool) -> None:
        """Read what the previous run noted."""
        self.unwritten = parse_row_ranges(note.get("left"))
        self.missing = parse_row_ranges(note.get("owed")) if file_missing else []

    def record(self) -> None:
        """Settle the rows and store the events that report them. Raises :class:`StoreError`."""
        databases = self._databases
        commit = databases.empty_commit()
        gone: list[Range] = []
        if databases.memory is None:
            gone = self._find(databases.active)
            commit.properties = {UNWRITTEN_KEY: ""} if databases.active.property(UNWRITTEN_KEY) else {}
        if self.unwritten:
            commit.properties = {**commit.properties, LOST_EPOCH: self.unwritten[-1][1]}
        reported = [rows_lost(*rows, "memory") for rows in self.unwritten]
        reported += [rows_lost(*rows, "corrupt") for rows in self.missing]
        commit.readings = [Reading(event(AGENT), commit.now, "", packed(row), urgent=True) for row in reported]
        if commit.readings or commit.properties:
            databases.active.give_up(commit, gone)
            databases.report("changed")

    def _find(self, disk: Database) -> list[Range]:
        """Keep only those rows in ``unwritten`` that are not in the file; return those that the file has unsettled
        numbers for. (Its accounts may have been written without its rows.)"""
        lost: RowRanges = []
        gone: list[Range] = []
        for name, epoch, start, stop in merged_rows([*self.unwritten, *_cut_short(disk)]):
            account = disk.accounts.get(name)
            if account is None or start >= account.next or account.epoch_of(start) != epoch:
                lost.append((name, epoch, start, stop))  # unknown to the file
                continue
            for first, after in missing(disk.rows(name, start, stop, stop - start), start, stop):
                owed = list(account.deliverable(first, min(after, account.next)))
                lost += [(name, epoch, *part) for part in owed]  # what is settled was reported before
                gone += [(name, *part) for part in owed]
        self.unwritten = lost
        return gone


def _cut_short(disk: Database) -> RowRanges:
    """Return the rows that were being written to the file when the previous run was cut off."""
    try:
        return parse_row_ranges(json.loads(disk.property(UNWRITTEN_KEY) or "[]"))
    except ValueError:
        return []
