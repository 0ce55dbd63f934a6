"""The rows of a file that was set aside come from a child process."""

from pathlib import Path

import pytest

from agent.store.io.rescue.salvage import RescueFailed, rescued_rows
from tests.agent.store.io.rescue.test_damaged_tables import filled
from tests.agent.store.store_fakes import DOOR, A


async def test_the_child_gives_the_rows_and_knows_the_names_that_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path)
    rows = [pair async for group in rescued_rows(path, {"1": "telemetry/other"}) for pair in group]
    assert [row.seq for name, row in rows if name == "telemetry/other"] == list(range(1, 201))
    (door,) = [row for name, row in rows if name == DOOR]
    assert door.context == ("aaaaaaaa", "b0070000", 1, "mh000000")
    rows = [pair async for group in rescued_rows(path, {}) for pair in group]
    assert [row.seq for name, row in rows if name == A] == list(range(50, 201))


async def test_a_file_that_is_not_there_is_a_failed_rescue(tmp_path: Path) -> None:
    with pytest.raises(RescueFailed):
        [group async for group in rescued_rows(tmp_path / "none", {})]
