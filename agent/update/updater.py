"""The updater: applies configurations from the gateway's files and from the city, with a trial and a rollback."""

import asyncio
import contextlib
import logging

from agent.base import events
from agent.base.codes import LogCode, log_extra
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.config.generation import Cause
from agent.config.resolve import ResolvedConfig, resolve
from agent.update.guard import Guard
from agent.update.parts import UpdateParts
from agent.update.ports import Journal, Runtime, seconds
from agent.update.running import UpdateRunning
from agent.update.signed import version_mark
from agent.update.start import Chosen

_log = logging.getLogger(__name__)

_NEVER = float("inf")
_MARK = "config.mark"


class Updater:
    """Follows the gateway's files and the messages of the city. ``chosen`` must already run on ``runtime``.

    It handles one message or edit at a time (:meth:`step`): each is examined, staged on disk, run, watched, and then
    confirmed or rolled back. ``journal`` stores events and a second copy of the high-water mark.
    """

    def __init__(self, parts: UpdateParts, runtime: Runtime, journal: Journal, chosen: Chosen) -> None:
        self._store = parts.store
        self._trust = parts.trust
        self._files = parts.files
        self._catalog = parts.catalog
        self._clock = parts.clock
        self._inbox = parts.inbox
        self._report = parts.report
        self._examiner = parts.examiner
        self._timings = parts.timings
        self._parts = parts
        self._journal = journal
        self._guard = Guard()
        self._running = UpdateRunning(
            parts.store, parts.start, parts.catalog, parts.clock, parts.report, runtime, journal, chosen
        )
        self._drivers: object = None
        self._remembered = ""

    @property
    def running(self) -> ResolvedConfig:
        """The running configuration."""
        return self._running.resolved

    @property
    def on_trial(self) -> bool:
        """Whether it is not confirmed yet."""
        return self._running.trial is not None

    async def run(self) -> None:
        """Handle messages and edits for ever."""
        await self.begin()
        while True:
            await self._wait()
            await self.step()

    async def begin(self) -> None:
        """Report what happened at the start, and what runs."""
        await self._guard.run("config/reported", self._begin())

    async def step(self) -> None:
        """Handle whatever has arrived or is due."""
        await self._guard.run("config", self._run_due_work())
        if raw := self._inbox.pop("trust"):
            await self._guard.run("config/trust", self._follow_trust(raw))
        if self._inbox.edited:
            self._inbox.edited = False
            failed = await self._guard.run(self._files.name, self._follow_edit())
            if failed is not None:
                self._report.reject(failed, self._journal, local=True)
                self._running.report()
        if raw := self._inbox.pop("desired"):
            failed = await self._guard.run("config/desired", self._follow_desired(raw))
            if failed is not None:
                self._reject_desired(raw, failed)
        await self._guard.run("config", self._check_expiry())
        failed = await self._guard.run("config", self._running.judge())
        if failed is not None and self.on_trial:
            await self._running.roll_back(Cause(failed.code, failed.message))

    async def close(self) -> None:
        """Save the trial for a clean stop. Call it after :meth:`run` was cancelled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timings.suspend_s):
                await self._running.suspend()

    async def _begin(self) -> None:
        self._report.begin(self._journal)
        if self._store.merge_mark(version_mark.parse(self._journal.recall(_MARK))) or self._store.lost:
            version = self._store.state.mark.version
            line = _(
                "the record of accepted configurations was lost; versions older than {version} will be rejected"
            ).format(version=version)
            _log.error(line, extra=log_extra(LogCode.UPDATE_STATE_LOST))
            self._journal.announce(events.update_state_lost(version))
            await self._store.settle()
        self._drivers = self._catalog.stamp()
        self._remember()
        await self._running.started()

    async def _wait(self) -> None:
        """Wait until something arrives or is due."""
        now_s, timings = seconds(self._clock), self._timings
        due_s = min(
            self._store.due_s,
            self._inbox.due_s(now_s),
            now_s + timings.prove_s if self._store.state.unproven else _NEVER,
            now_s + timings.files_s if self._report.degraded else _NEVER,
        )
        wait_s = timings.tick_s if self.on_trial else max(0.0, due_s - now_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if wait_s == _NEVER else wait_s):
                await self._inbox.wake.wait()
        self._inbox.wake.clear()

    async def _run_due_work(self) -> None:
        """Check what changes by itself: a disk that is writable again, a clock that was set, a driver that is back."""
        await self._store.settle_if_due()
        self._remember()
        self._inbox.retry_if_due(self._clock.now())
        if self._report.degraded and (stamp := self._catalog.stamp()) != self._drivers:
            self._drivers = stamp
            await self._running.complete()

    def _remember(self) -> None:
        """Keep a second copy of the mark in the store, in case the first one is lost."""
        mark = self._store.state.mark
        text = mark.encoded() if mark != version_mark.Mark() else ""
        if text and text != self._remembered:
            if text != self._journal.recall(_MARK):
                self._journal.remember(_MARK, text)
            self._remembered = text

    async def _follow_trust(self, raw: bytes) -> None:
        """Follow ``config/trust``. If the root changed, retry the messages that were rejected."""
        try:
            changed = await self._trust.follow(raw)
        except RejectedError as error:
            self._inbox.defer("trust", raw, error, self._clock.now())
            return
        if changed:
            self._running.report()
            self._inbox.retry()

    async def _follow_edit(self) -> None:
        try:
            await self._parts.read_trust_file()
            await self._read_files()
        except RejectedError as error:
            line = _("{file} is invalid; continuing with the running configuration").format(file=self._files.name)
            _log.error(line, extra=log_extra(error.code))
            self._report.reject(error, self._journal, local=True)
            self._running.report()
        else:
            _log.info(_("reloaded the configuration"))
            if self._report.edit_accepted():
                self._running.report()
        finally:
            self._inbox.retry()

    async def _read_files(self) -> None:
        """Try the edited files together with the current payload. Raises :class:`RejectedError`."""
        if self._report.degraded:
            self._drivers = self._catalog.stamp()
            await self._running.complete()
        good, trial = self._store.good(), self._running.trial
        payload = self.running.generation.payload if trial is not None or good is None else good.payload
        generation = self._files.generation(payload)
        if generation.name == self.running.generation.name:
            return
        if good is not None and trial is None and generation.name == good.name:
            return  # not edited: it is the good configuration, which cannot be loaded at present
        resolved = resolve(generation, self._catalog, remaining=bool(self.running.missing))
        # A payload on trial stays on trial: if this fails, it is marked as bad together with the edit.
        trying = "" if resolved.document is None or (good and good.payload == payload) else resolved.document.hash
        await self._store.stage(resolved.generation, trying)
        await self._running.change(resolved)

    async def _follow_desired(self, raw: bytes) -> None:
        from agent.update.signed.acceptance import NoChange

        self._inbox.begin("desired")
        try:
            outcome = await self._examiner.examine(raw, self.running)
            if isinstance(outcome, NoChange):
                self._inbox.mark_unchanged(raw)
                return
            document, generation = outcome.document, outcome.resolved.generation
            mark = self._store.state.mark.raised(document.version, document.hash, document.issued_ms)
            await self._store.stage(generation, document.hash, outcome.message, mark, unproven=outcome.unproven)
        except RejectedError as error:
            self._reject_desired(raw, error)
            return
        self._inbox.unchanged_hash = ""
        await self._running.change(outcome.resolved)

    def _reject_desired(self, raw: bytes, error: RejectedError) -> None:
        self._inbox.defer("desired", raw, error, self._clock.now())
        self._report.reject(error, self._journal)
        self._running.report()

    async def _check_expiry(self) -> None:
        """Once the clock is set, withdraw the configuration if it had expired when it was accepted."""
        document, unproven = self.running.document, self._store.state.unproven
        if not unproven or self._clock.now().clock_quality == 0:
            return
        from agent.base.timekeeping.trusted_time import check_expiry

        if document is not None and document.hash == unproven:
            try:
                check_expiry(document.expires_ms, self._examiner.trusted_time())
            except RejectedError as error:
                await self._running.withdraw(unproven, Cause(error.code, error.message, error.path))
        await self._store.expiry_checked()
