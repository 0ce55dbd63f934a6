"""Which configuration a start begins with, and which one there is to go back to."""

import logging
from dataclasses import dataclass

from agent.base.codes import LogCode, Rejection, log_extra
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.config.generation import Cause
from agent.config.resolve import ResolvedConfig, resolve
from agent.update.io.update_store import UpdateStore
from agent.update.ports import Catalog, Clock, LocalFiles, seconds
from agent.update.probation import Observation
from agent.update.report import UpdateReport
from agent.update.timings import UpdateTimings
from agent.update.trial import Trial, trial

_log = logging.getLogger(__name__)


class NoConfiguration(Exception):
    """The files are wrong, and there is no last good configuration; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a start begins with; ``trial``: where it is not kept yet."""

    resolved: ResolvedConfig
    trial: Trial | None = None


class UpdateStart:
    """What was accepted once is never given up because a start cannot load it: the gateway runs as much of it as it
    can, or what worked before it, and it comes back when the rest does."""

    def __init__(
        self,
        store: UpdateStore,
        files: LocalFiles,
        catalog: Catalog,
        clock: Clock,
        timings: UpdateTimings,
        report: UpdateReport,
    ) -> None:
        self._store = store
        self._files = files
        self._catalog = catalog
        self._clock = clock
        self._timings = timings
        self._report = report
        self._unusable: Cause | None = None

    async def choose(self) -> Chosen:
        """The configuration to start with. Raises :class:`NoConfiguration`."""
        was_on_trial = self._store.state.under_way
        candidate = await self._candidate()
        if candidate is None:
            return Chosen(await self._first(was_on_trial))
        tried = self.trial(candidate, self.last_good(), self._store.state.spent_s)
        self._report.degrade(candidate.degraded)
        await self._store.applying()
        return Chosen(candidate, tried)

    def trial(
        self,
        resolved: ResolvedConfig,
        good: ResolvedConfig | None,
        spent_s: float = 0.0,
        before: Observation | None = None,
    ) -> Trial:
        """A trial that begins now (:func:`~agent.update.trial.trial`)."""
        return trial(resolved, good, seconds(self._clock), self._timings.confirm_s, spent_s, before)

    async def _candidate(self) -> ResolvedConfig | None:
        """What was on trial when the agent ended, if it may be tried again."""
        if not self._store.state.under_way:
            return None
        generation = self._store.candidate()
        try:
            if generation is None:
                raise RejectedError(Rejection.TORN, _("its file is damaged"))
            if self._store.state.worn_out:
                raise RejectedError(Rejection.ATTEMPTS, _("the gateway has started three times with it"))
            return resolve(generation, self._catalog, remaining=True)
        except RejectedError as error:
            cause = Cause(error.code, error.message, error.path)
            _log.error(
                _("rolled back the new configuration: {why}").format(why=cause.message), extra=log_extra(cause.code)
            )
            await self._store.roll_back(cause)
            return None

    async def _first(self, was_on_trial: bool) -> ResolvedConfig:
        """What to run where nothing is on trial. Raises :class:`NoConfiguration`."""
        good = self.last_good()
        if good is None:
            resolved = await self._from_files()
        elif was_on_trial:  # an edit that was part of the trial is taken back with it
            resolved = good
        else:
            resolved = await self._edited(good)
        self._report.degrade(self.shortfall(resolved))
        return resolved

    def last_good(self) -> ResolvedConfig | None:
        """What the state says is good, or the one before it, as far as it can be built."""
        self._unusable = None
        state = self._store.state
        for generation in self._store.goods():
            try:
                resolved = resolve(generation, self._catalog, remaining=True)
            except RejectedError as error:  # a newer release may want it otherwise
                line = _("cannot use the last good configuration: {why}").format(why=error)
                _log.error(line, extra=log_extra(error.code))
                self._unusable = self._unusable or Cause(Rejection.DEGRADED, str(error)[:500], error.path)
                continue
            # One whose payload was withdrawn, with an edit of the technician's on top, is not good.
            if resolved.document is None or resolved.document.hash not in state.bad:
                return resolved
        return None

    def shortfall(self, resolved: ResolvedConfig) -> Cause | None:
        """Why this is not all that was accepted, after :meth:`last_good`; ``None`` where it is."""
        if not self._store.is_named(resolved.generation) and self._unusable:
            return self._unusable
        return resolved.degraded

    async def stand_in(self) -> ResolvedConfig | None:
        """The gateway's own files, where there is no good configuration to go back to. Raises
        :class:`RejectedError`."""
        resolved = resolve(self._files.generation(None), self._catalog, remaining=True)
        if self._unusable is None:
            await self._store.stand_in(resolved.generation)
        return resolved

    async def _edited(self, good: ResolvedConfig) -> ResolvedConfig:
        """The good one, or with the files as they are now."""
        state = self._store.state
        if good.generation.name != state.good:
            if self._unusable is not None:
                return good
            self._report.refuse(
                RejectedError(
                    Rejection.TORN, _("the file of the last good configuration is damaged; running the one before it")
                )
            )
        try:
            current = self._files.generation(good.generation.payload)
            if current.name == good.generation.name:
                return good
            if current.name in state.bad:
                line = _("{file} was rolled back; edit it, or reload to retry").format(file=self._files.name)
                _log.error(line, extra=log_extra(LogCode.KNOWN_BAD))
                return good
            resolved = resolve(current, self._catalog, remaining=bool(good.missing))
        except RejectedError as error:
            self._report.refuse(error, local=True)
            return good
        # Edited while stopped: a technician is on site, so adopt it without a trial. A reload is tried out.
        await self._store.adopt(resolved.generation)
        return resolved

    async def _from_files(self) -> ResolvedConfig:
        try:
            resolved = resolve(self._files.generation(None), self._catalog, remaining=self._unusable is not None)
        except RejectedError as error:
            raise NoConfiguration(f"{error.path}: {error.message}".removeprefix(": ")) from error
        if self._unusable is None:  # or what was accepted could not come back
            await self._store.adopt(resolved.generation)
        return resolved
