"""Rescues the readable rows of files that were set aside; unsettled rows that are not found are given up and
counted."""

import logging
from functools import partial
from pathlib import Path

from agent.base.codes import LogCode, log_extra
from agent.base.i18n import _
from agent.store.io.backend import Backend
from agent.store.io.rescue.salvage import RescueFailed, rescued_rows
from agent.store.io.upkeep import Call

_log = logging.getLogger(__name__)

_TRIES = 3


async def rescue(backend: Backend, call: Call, folder: Path) -> None:
    """Rescue every file that is waiting. Raises :class:`StoreError` if the store cannot take the rows now."""
    tries = 0
    while waiting := await call(lambda: backend.rescues):
        name, rescued_count = waiting[0].file, 0
        try:
            async for group in rescued_rows(folder / Path(name).name, waiting[0].names):
                rescued_count += await call(partial(backend.store_rescued, group))
        except RescueFailed as error:
            tries += 1
            _log.warning(
                _("could not read all of {file}: {why}").format(file=name, why=error),
                extra=log_extra(LogCode.RESCUE_FAILED),
            )
            if tries < _TRIES:
                continue
        tries = 0
        lost = await call(backend.end_rescue)
        lost_count = sum(stop - start for _unused, _unused, start, stop in lost)
        line = _("rescued {n} rows from the damaged store {file}; {lost} were lost").format(
            n=rescued_count, file=name, lost=lost_count
        )
        _log.warning(line, extra=log_extra(LogCode.STORE_RESCUED))
