"""Chooses the configuration to start with, and the one to roll back to."""

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
from agent.update.trial import Trial, begin_trial

_log = logging.getLogger(__name__)


class NoConfiguration(Exception):
    """The gateway's files are invalid and there is no last good configuration. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The configuration to start with. ``trial``: set if it is not confirmed yet."""

    resolved: ResolvedConfig
    trial: Trial | None = None


class UpdateStart:
    """Chooses what to run. An accepted configuration is never discarded because it cannot be loaded at a start: the
    gateway runs as much of it as it can, or the one before it, and returns to it once the missing parts are back."""

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
        """Choose the configuration to start with. Raises :class:`NoConfiguration`."""
        was_on_trial = self._store.state.under_way
        candidate = await self._candidate()
        if candidate is None:
            return Chosen(await self._first(was_on_trial))
        tried = self.begin_trial(candidate, self.last_good(), self._store.state.spent_s)
        self._report.degrade(candidate.degraded)
        await self._store.applying()
        return Chosen(candidate, tried)

    def begin_trial(
        self,
        resolved: ResolvedConfig,
        good: ResolvedConfig | None,
        spent_s: float = 0.0,
        before: Observation | None = None,
    ) -> Trial:
        """Begin a trial now (:func:`~agent.update.trial.begin_trial`)."""
        return begin_trial(resolved, good, seconds(self._clock), self._timings.confirm_s, spent_s, before)

    async def _candidate(self) -> ResolvedConfig | None:
        """Return what was on trial when the agent stopped, if it may be tried again."""
        if not self._store.state.under_way:
            return None
        generation = self._store.candidate()
        try:
            if generation is None:
                raise RejectedError(Rejection.TORN, _("its file is damaged"))
            if self._store.state.attempts_exhausted:
                raise RejectedError(
                    Rejection.ATTEMPTS,
                    _("the gateway started three times with this configuration without confirming it"),
                )
            return resolve(generation, self._catalog, remaining=True)
        except RejectedError as error:
            cause = Cause(error.code, error.message, error.path)
            _log.error(
                _("rolled back the new configuration: {why}").format(why=cause.message), extra=log_extra(cause.code)
            )
            await self._store.roll_back(cause)
            return None

    async def _first(self, was_on_trial: bool) -> ResolvedConfig:
        """Return what to run if nothing is on trial. Raises :class:`NoConfiguration`."""
        good = self.last_good()
        if good is None:
            resolved = await self._from_files()
        elif was_on_trial:  # an edit that was part of the trial is rolled back with it
            resolved = good
        else:
            resolved = await self._edited(good)
        self._report.degrade(self.shortfall(resolved))
        return resolved

    def last_good(self) -> ResolvedConfig | None:
        """Return the last good configuration, or the one before it, as far as it can be built."""
        self._unusable = None
        state = self._store.state
        for generation in self._store.goods():
            try:
                resolved = resolve(generation, self._catalog, remaining=True)
            except RejectedError as error:  # a newer release may have stricter rules
                line = _("cannot use the last good configuration: {why}").format(why=error)
                _log.error(line, extra=log_extra(error.code))
                self._unusable = self._unusable or Cause(Rejection.DEGRADED, str(error)[:500], error.path)
                continue
            # Skip one that combines a withdrawn payload with an edit of the technician's.
            if resolved.document is None or resolved.document.hash not in state.bad:
                return resolved
        return None

    def shortfall(self, resolved: ResolvedConfig) -> Cause | None:
        """Return why this is not all of the accepted configuration, or ``None`` if it is. Call :meth:`last_good`
        before."""
        if not self._store.is_named(resolved.generation) and self._unusable:
            return self._unusable
        return resolved.degraded

    async def fallback(self) -> ResolvedConfig | None:
        """Return the gateway's own files as the configuration, if there is no good one to roll back to. Raises
        :class:`RejectedError`."""
        resolved = resolve(self._files.generation(None), self._catalog, remaining=True)
        if self._unusable is None:
            await self._store.use_fallback(resolved.generation)
        return resolved

    async def _edited(self, good: ResolvedConfig) -> ResolvedConfig:
        """Return the good configuration, updated with the gateway's files if they were edited."""
        state = self._store.state
        if good.generation.name != state.good:
            if self._unusable is not None:
                return good
            self._report.reject(
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
            self._report.reject(error, local=True)
            return good
        # Edited while stopped: a technician is on site, so adopt it without a trial. A reload is put on trial.
        await self._store.adopt(resolved.generation)
        return resolved

    async def _from_files(self) -> ResolvedConfig:
        try:
            resolved = resolve(self._files.generation(None), self._catalog, remaining=self._unusable is not None)
        except RejectedError as error:
            raise NoConfiguration(f"{error.path}: {error.message}".removeprefix(": ")) from error
        if self._unusable is None:  # otherwise the accepted configuration could never come back
            await self._store.adopt(resolved.generation)
        return resolved
