"""The way of one configuration from the broker: nothing is done twice, and what was checked is what runs."""

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from agent.config import document, layers, parse, resolve
from agent.config.resolve import ResolvedConfig
from tests.agent.update.update_gateway import Gateway, outcome

ONCE = (parse.parse_tables, document.parse_document, layers.merged, resolve.resolve)
MAX_CALLS = 550
"""Half of what it took before the object that was checked was the one that ran, counted in the same way: 1,099."""


class Calls:
    """The agent's functions that are called while it lasts, on the event loop's thread. ``count``: by code object."""

    def __init__(self) -> None:
        self._seen: set[FrameType] = set()
        self.count: Counter[object] = Counter()

    def __enter__(self) -> "Calls":
        sys.setprofile(self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.setprofile(None)
        self._seen.clear()

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        # A coroutine that goes on is no new call: its frame is the same.
        if event == "call" and frame.f_globals.get("__name__", "").startswith("agent.") and frame not in self._seen:
            self._seen.add(frame)
            self.count[frame.f_code] += 1


async def test_a_configuration_is_parsed_and_merged_once_and_that_very_object_runs(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    async with gateway.running():
        payload = gateway.payload(1, "air-a", "air-b", interval_s=7)
        await gateway.send(payload[:-1] + b"x")  # refused, but everything is imported now
        with Calls() as calls:
            report = await gateway.send(payload)
        assert outcome(report) == (1, "confirmed", "")
        assert [calls.count[function.__code__] for function in ONCE] == [1] * len(ONCE)
        assert calls.count.total() <= MAX_CALLS
        ran: ResolvedConfig = gateway.runtime.changes[-1]
        assert ran is gateway.updater.running
        assert (ran.document is not None, ran.generation.payload is not None) == (True, True)
