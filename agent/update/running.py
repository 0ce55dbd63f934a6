"""Changes, tries, confirms and rolls back the running configuration."""

import logging
from collections.abc import Coroutine
from typing import Any

from agent.base import events
from agent.base.codes import Rejection, log_extra
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.config.generation import Cause
from agent.config.resolve import ResolvedConfig, resolve
from agent.update.guard import BrokenState
from agent.update.io.update_store import UpdateStore
from agent.update.ports import Catalog, Clock, Journal, Runtime, seconds
from agent.update.report import UpdateReport
from agent.update.start import Chosen, UpdateStart

_log = logging.getLogger(__name__)


class UpdateRunning:
    """``resolved``: the running configuration; ``trial``: set while unconfirmed. ``chosen`` must already run."""

    def __init__(
        self,
        store: UpdateStore,
        start: UpdateStart,
        catalog: Catalog,
        clock: Clock,
        report: UpdateReport,
        runtime: Runtime,
        journal: Journal,
        chosen: Chosen,
    ) -> None:
        self._store = store
        self._start = start
        self._catalog = catalog
        self._clock = clock
        self._report = report
        self._runtime = runtime
        self._journal = journal
        self.resolved = chosen.resolved
        self.trial = chosen.trial

    async def started(self) -> None:
        """Record and report that the configuration runs."""
        if self.trial is not None:
            await self._store.probation()
            self._runtime.report_health()
        self.report()

    async def suspend(self) -> None:
        """Save the trial when the agent stops cleanly; it continues at the next start."""
        if self.trial is not None and self._store.state.under_way:
            await self._store.suspend(seconds(self._clock) - self.trial.began_s)

    async def change(self, resolved: ResolvedConfig) -> None:
        """Replace the running configuration with a staged one, on trial."""
        self._report.accepted()
        running = self.resolved
        good = running if running.generation.name == self._store.state.good else self._start.last_good()
        self.trial = self._start.begin_trial(resolved, good, before=self._runtime.observe())
        self._report.degrade(resolved.degraded)
        await self._store.applying()
        try:
            await self._run(resolved)
        except Exception as error:  # noqa: BLE001 - whatever failed, the new configuration caused it
            _log.debug("the change failed", exc_info=error)
            await self.roll_back(Cause(Rejection.APPLY, _("it cannot be applied: {why}").format(why=repr(error))))
            return
        await self.started()

    async def judge(self) -> None:
        """Confirm the configuration on trial, or roll it back, if it is time."""
        if self.trial is None:
            return
        verdict = self.trial.judge(self._runtime.observe(), seconds(self._clock))
        if verdict == "confirm":
            self.trial = None
            await self._store.confirm()
            self.report()
        elif isinstance(verdict, Cause):
            await self.roll_back(verdict)

    async def roll_back(self, cause: Cause) -> None:
        """Roll back the configuration on trial. Raises :class:`BrokenState`."""
        await self._return_to_good(cause, self._store.roll_back(cause))

    async def withdraw(self, payload: str, cause: Cause) -> None:
        """Withdraw a configuration that should not have been accepted. ``payload``: its hash. Raises
        :class:`BrokenState`."""
        on_trial = self._store.state.trying == payload
        step = self._store.roll_back(cause) if on_trial else self._store.withdraw(payload, cause)
        await self._return_to_good(cause, step)

    async def _return_to_good(self, cause: Cause, step: Coroutine[Any, Any, None]) -> None:
        """Return to the good configuration. ``step`` records it on disk. Raises :class:`BrokenState`."""
        self.trial = None
        _log.error(_("rolled back the new configuration: {why}").format(why=cause.message), extra=log_extra(cause.code))
        await step
        good = self._start.last_good()
        if good is None:
            try:
                good = await self._start.fallback()
            except RejectedError as error:
                line = _("there is no configuration to roll back to ({why}); keeping the new one").format(why=error)
                _log.error(line, extra=log_extra(error.code))
        if good is not None:
            await self._restore(good)
            self._report.degrade(self._start.shortfall(good))
        self._journal.announce(events.config_rolled_back(cause.code, cause.message, cause.path))
        self.report()

    async def complete(self) -> None:
        """Run all of the accepted configuration, or more of it than before, if that is possible now. There is no new
        trial: it was accepted, and may have worked before."""
        before = self.resolved
        resolved = self._start.last_good()
        if self.trial is not None:
            resolved = resolve(before.generation, self._catalog, remaining=True)
        if resolved is None:
            return
        if (resolved.generation.name, resolved.missing) != (before.generation.name, before.missing):
            try:
                await self._run(resolved)
            except Exception:
                await self._restore(before)
                raise
        self._report.degrade(self._start.shortfall(resolved))
        self.report()

    def report(self) -> None:
        """Publish ``config/reported``."""
        self._runtime.report(self._report.message(self.resolved), self._report.rejected_edit)

    async def _run(self, resolved: ResolvedConfig) -> None:
        self.resolved = resolved
        await self._runtime.change(resolved)

    async def _restore(self, resolved: ResolvedConfig) -> None:
        """Run the previous configuration again. Raises :class:`BrokenState` if that fails twice: restart the agent."""
        try:
            await self._run(resolved)
        except Exception as error:  # noqa: BLE001 - try again: remains of the failed change may be gone by then
            _log.debug("the first attempt to return to the previous configuration failed", exc_info=error)
            try:
                await self._run(resolved)
            except Exception as second:
                raise BrokenState(repr(second)) from second
