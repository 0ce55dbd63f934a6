"""What runs: how it is changed, tried, kept and taken back."""

import logging
from collections.abc import Callable
from functools import partial

from agent.core import events
from agent.core.config import DriverLookup
from agent.core.config_resolve import ResolvedConfig, resolve
from agent.core.log_fields import tagged
from agent.core.refusal import Refused
from agent.core.text import say
from agent.core.update_state import Cause
from agent.edges.update_dir import UpdateDir
from agent.site import Site
from agent.update_guard import BrokenState
from agent.update_report import Events, UpdateReport
from agent.update_start import UpdateStart
from agent.update_steps import UpdateSteps
from agent.update_trial import Trial, trial

_log = logging.getLogger(__name__)


class UpdateRunning:
    """``resolved``: what runs; ``trial``: whether that is not kept yet. :meth:`begin` comes first."""

    def __init__(
        self, kept: UpdateDir, steps: UpdateSteps, catalog: DriverLookup, start: UpdateStart, report: UpdateReport
    ) -> None:
        self._kept = kept
        self._steps = steps
        self._catalog = catalog
        self._start = start
        self._report = report
        self._resolved: ResolvedConfig | None = None
        self.trial: Trial | None = None

    @property
    def resolved(self) -> ResolvedConfig:
        """What runs."""
        assert self._resolved is not None
        return self._resolved

    @property
    def is_kept(self) -> bool:
        """Whether this is what the state says should run, and not what came in its place."""
        return self.resolved.generation.name in (self._kept.state.good, self._kept.state.candidate)

    async def begin(self) -> ResolvedConfig:
        """Choose what to start with. Raises :class:`~agent.update_start.NoConfiguration`."""
        was_on_trial = self._kept.state.under_way
        candidate = await self._start.candidate()
        if candidate is None:
            self._resolved = await self._start.first(was_on_trial)
            return self._resolved
        self._resolved = candidate
        self.trial = trial(candidate, self._start.last_good(), spent_s=self._kept.state.spent_s)
        self._report.degrade(candidate.degraded)
        await self._steps.note(self._kept.applying)
        return candidate

    async def begun(self, site: Site) -> None:
        """What was chosen runs."""
        if self.trial is not None:
            await self._steps.note(self._kept.probation)
            site.report_health()
        self.tell(site)

    async def set_down(self) -> None:
        """The agent stops in good order: what is on trial goes on at the next start."""
        if self.trial is not None and self._kept.state.under_way:
            await self._steps.note(partial(self._kept.set_down, self.trial.passed_s))

    async def change(self, resolved: ResolvedConfig, site: Site, store: Events) -> None:
        """Try a staged configuration in place of what runs."""
        self._report.accepted()
        lost = frozenset(name for name, one in site.sensors.items() if one.sensor.health.lost)
        echo = site.uplink is not None and site.uplink.echoed
        before = self.resolved
        good = before if before.generation.name == self._kept.state.good else self._start.last_good()
        self.trial = trial(resolved, good, lost, echo=echo)
        self._report.degrade(resolved.degraded)
        await self._steps.note(self._kept.applying)
        try:
            await self._run(resolved, site)
        except Exception as error:  # noqa: BLE001 - the configuration brought it, whatever it is
            _log.debug("the change failed", exc_info=error)
            await self.roll_back(Cause("apply", say("it cannot be applied: {why}", why=repr(error))), site, store)
            return
        await self.begun(site)

    async def judge(self, site: Site, store: Events) -> None:
        """Keep what is on trial, or take it back, if it is time."""
        if self.trial is None:
            return
        verdict = self.trial.judge(site)
        if verdict == "confirm":
            self.trial = None
            await self._steps.note(self._kept.confirm)
            self.tell(site)
        elif isinstance(verdict, Cause):
            await self.roll_back(verdict, site, store)

    async def roll_back(self, cause: Cause, site: Site, store: Events) -> None:
        """Take back what is on trial. Raises :class:`BrokenState`."""
        await self.take_back(cause, partial(self._kept.roll_back, cause), site, store)

    async def take_back(self, cause: Cause, step: Callable[[], None], site: Site, store: Events) -> None:
        """Go back to the good configuration; ``step`` says so to the disk. Raises :class:`BrokenState`."""
        self.trial = None
        _log.error(say("the new configuration is taken back: {why}", why=cause.message), extra=tagged(cause.code))
        await self._steps.note(step)
        good = self._start.last_good()
        if good is None:
            try:
                good = await self._start.stand_in()
            except Refused as error:
                line = say("the agent goes on with it: there is no other one ({why})", why=error)
                _log.error(line, extra=tagged(error.code))
        if good is not None:
            await self._restore(good, site)
            self._report.degrade(self._start.shortfall(good))
        store.announce(events.config_rolled_back(cause.code, cause.message, cause.path))
        self.tell(site)

    async def complete(self, site: Site) -> None:
        """Run all of what was accepted, or more of it than before, where that is possible now. It is not tried again:
        it was accepted, and has perhaps worked."""
        before = self.resolved
        resolved = self._start.last_good()
        if self.trial is not None:
            resolved = resolve(before.generation, self._catalog, remaining=True)
        if resolved is None:
            return
        if (resolved.generation.name, resolved.missing) != (before.generation.name, before.missing):
            try:
                await self._run(resolved, site)
            except Exception:
                await self._restore(before, site)
                raise
        self._report.degrade(self._start.shortfall(resolved))
        self.tell(site)

    def tell(self, site: Site) -> None:
        """Publish ``config/reported``."""
        site.tell(self._report.message(self.resolved))

    async def _run(self, resolved: ResolvedConfig, site: Site) -> None:
        self._resolved = resolved
        await site.change(resolved)

    async def _restore(self, resolved: ResolvedConfig, site: Site) -> None:
        try:
            await self._run(resolved, site)
        except Exception as error:
            raise BrokenState(repr(error)) from error
