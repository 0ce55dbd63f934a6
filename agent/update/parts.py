"""Creates the parts that handle configurations, before the store is open or anything runs."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.base.codes import log_extra
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.update.examination import Examiner
from agent.update.guard import Guard
from agent.update.inbox import UpdateInbox
from agent.update.io.update_store import UpdateStore
from agent.update.ports import Catalog, Clock, LocalFiles
from agent.update.report import UpdateReport
from agent.update.start import Chosen, UpdateStart
from agent.update.timings import UpdateTimings
from agent.update.trust_store import TrustStore

if TYPE_CHECKING:
    from agent.update.io.signatures import Verify

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpdateParts:
    """The parts that handle configurations. Created by :meth:`of`. ``inbox`` receives messages about configurations."""

    store: UpdateStore
    files: LocalFiles
    catalog: Catalog
    clock: Clock
    timings: UpdateTimings
    inbox: UpdateInbox
    trust: TrustStore
    report: UpdateReport
    examiner: Examiner
    start: UpdateStart

    @classmethod
    def of(
        cls,
        store: UpdateStore,
        files: LocalFiles,
        catalog: Catalog,
        clock: Clock,
        timings: UpdateTimings,
        verify: "Verify | None" = None,
    ) -> "UpdateParts":
        """Create all parts. ``verify``: verifies signatures, if not the default."""
        inbox, trust, report = UpdateInbox(timings), TrustStore(store, clock, verify), UpdateReport(store, clock)
        examiner = Examiner(store, trust, inbox, catalog, clock)
        start = UpdateStart(store, files, catalog, clock, timings, report)
        return cls(store, files, catalog, clock, timings, inbox, trust, report, examiner, start)

    async def choose(self) -> Chosen:
        """Choose the configuration to start with. Raises :class:`~agent.update.start.NoConfiguration`."""
        await self.store.settle()
        await Guard().run("trust.json", self.read_trust_file())
        return await self.start.choose()

    async def read_trust_file(self) -> None:
        """Install the technician's ``trust.json`` if it is new."""
        try:
            if raw := self.files.trust():
                await self.trust.install(raw)
        except RejectedError as error:
            line = _("cannot use {file}: {error}").format(file="trust.json", error=error)
            _log.error(line, extra=log_extra(error.code))
