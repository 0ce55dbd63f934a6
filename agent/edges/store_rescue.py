"""Brings back what can be read of stores that were set aside; what is owed and not found is given up, and counted."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from agent.core.log_fields import tagged
from agent.core.text import say
from agent.edges.store_backend import Backend
from agent.edges.store_errors import StoreError
from agent.edges.store_remains import RescueFailed, rescued_rows

_log = logging.getLogger(__name__)

_TRIES = 3

Call = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Run this in the store's thread."""


async def rescue(backend: Backend, call: Call, folder: Path) -> None:
    """Read every file that waits for it. Raises :class:`StoreError` where the store cannot take the rows now."""
    tries = 0
    while waiting := await call(lambda: backend.rescues):
        name, names = str(waiting[0].get("file", "")), waiting[0].get("names")
        found = 0
        try:
            async for group in rescued_rows(folder / Path(name).name, names if isinstance(names, dict) else {}):
                found += await call(partial(backend.rescued, group))
        except RescueFailed as error:
            tries += 1
            _log.warning(
                say("could not read all of {file}: {why}", file=name, why=error), extra=tagged("rescue_failed")
            )
            if tries < _TRIES:
                continue
        tries = 0
        lost = await call(backend.rescue_ended)
        count = sum(stop - start for _, _, start, stop in lost)
        line = say("rescued {n} rows from the damaged store {file}; {lost} were lost", n=found, file=name, lost=count)
        _log.warning(line, extra=tagged("store_rescued"))


__all__ = ["StoreError", "rescue"]
