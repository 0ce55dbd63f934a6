"""The way of one configuration from the broker: nothing is done twice, and what was checked is what runs."""

import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from agent.core import config, config_document, config_resolve, remote_config
from agent.core.config_resolve import ResolvedConfig
from tests.agent.update_gateway import Gateway, outcome


class Calls:
    """How often functions are called while it lasts; on this thread, which is the event loop's."""

    def __init__(self, *functions: Any) -> None:
        self._names: dict[CodeType, str] = {function.__code__: function.__qualname__ for function in functions}
        self.count: Counter[str] = Counter()

    def __enter__(self) -> "Calls":
        sys.setprofile(self._seen)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.setprofile(None)

    def _seen(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code in self._names:
            self.count[self._names[frame.f_code]] += 1


async def test_a_configuration_is_parsed_and_merged_once_and_that_very_object_runs(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    async with gateway.running():
        payload = gateway.payload(1, "air-a", "air-b", interval_s=7)
        once = (config.read, config_document.read_document, remote_config.merged, config_resolve.resolve)
        with Calls(*once) as calls:
            report = await gateway.send(payload)
        assert outcome(report) == (1, "confirmed", "")
        assert calls.count == {function.__qualname__: 1 for function in once}
        ran: ResolvedConfig = gateway.runtime.changes[-1]
        assert ran is gateway.updater.running
        assert (ran.document is not None, ran.generation.payload is not None) == (True, True)
