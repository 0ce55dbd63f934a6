"""Which configuration runs: from the gateway's files or from the city, on trial, kept, or the one before it again."""

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
    """Follows the gateway's files and what the city sends. ``chosen`` runs already, on ``runtime``.

    One message or edit is worked on at a time (:meth:`step`); each is examined, staged on the disk, run, watched, and
    then confirmed or taken back. ``journal`` keeps events, and a second copy of the high-water mark.
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
        """What runs."""
        return self._running.resolved

    @property
    def on_trial(self) -> bool:
        """Whether that is not kept yet."""
        return self._running.trial is not None

    async def run(self) -> None:
        """Follow, for ever."""
        await self.begin()
        while True:
            await self._woken()
            await self.step()

    async def begin(self) -> None:
        """Say what was found at the start, and what runs."""
        await self._guard.run("config/reported", self._begin())

    async def step(self) -> None:
        """Work on whatever came or is due, until nothing is left to do but wait."""
        await self._guard.run("config", self._look_around())
        if raw := self._inbox.pop("trust"):
            await self._guard.run("config/trust", self._follow_trust(raw))
        if self._inbox.edited:
            self._inbox.edited = False
            failed = await self._guard.run(self._files.name, self._follow_edit())
            if failed is not None:
                self._report.refuse(failed, self._journal, local=True)
                self._running.report()
        if raw := self._inbox.pop("desired"):
            failed = await self._guard.run("config/desired", self._follow_desired(raw))
            if failed is not None:
                self._refuse_desired(raw, failed)
        await self._guard.run("config", self._prove())
        failed = await self._guard.run("config", self._running.judge())
        if failed is not None and self.on_trial:
            await self._running.roll_back(Cause(failed.code, failed.message))

    async def close(self) -> None:
        """The agent stops in good order. Called after :meth:`run` was cancelled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timings.set_down_s):
                await self._running.set_down()

    async def _begin(self) -> None:
        self._report.begin(self._journal)
        if self._store.prove(version_mark.decoded(self._journal.recall(_MARK))) or self._store.lost:
            version = self._store.state.mark.version
            line = _(
                "the record of accepted configurations was lost; none older than version {version} is accepted"
            ).format(version=version)
            _log.error(line, extra=log_extra(LogCode.UPDATE_STATE_LOST))
            self._journal.announce(events.update_state_lost(version))
            await self._store.settle()
        self._drivers = self._catalog.stamp()
        self._remember()
        await self._running.begun()

    async def _woken(self) -> None:
        """Wait for news, or for something to come back to."""
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

    async def _look_around(self) -> None:
        """What comes by itself: a disk that takes things again, a clock that is set, a driver that is back."""
        await self._store.settle_if_due()
        self._remember()
        self._inbox.look_again_if_due(self._clock.now())
        if self._report.degraded and (stamp := self._catalog.stamp()) != self._drivers:
            self._drivers = stamp
            await self._running.complete()

    def _remember(self) -> None:
        """Keep the mark in the store as well: whoever loses the one still has the other."""
        mark = self._store.state.mark
        text = mark.encoded() if mark != version_mark.Mark() else ""
        if text and text != self._remembered:
            if text != self._journal.recall(_MARK):
                self._journal.remember(_MARK, text)
            self._remembered = text

    async def _follow_trust(self, raw: bytes) -> None:
        """Follow ``config/trust``; what was refused may be right by it."""
        try:
            led_on = await self._trust.follow(raw)
        except RejectedError as error:
            self._inbox.put_by("trust", raw, error, self._clock.now())
            return
        if led_on:
            self._running.report()
            self._inbox.look_again()

    async def _follow_edit(self) -> None:
        try:
            await self._parts.read_trust_file()
            await self._read_files()
        except RejectedError as error:
            line = _("{file} is invalid; continuing with the running configuration").format(file=self._files.name)
            _log.error(line, extra=log_extra(error.code))
            self._report.refuse(error, self._journal, local=True)
            self._running.report()
        else:
            _log.info(_("reloaded the configuration"))
            if self._report.edit_accepted():
                self._running.report()
        finally:
            self._inbox.look_again()

    async def _read_files(self) -> None:
        """Try the files as they are now, with the payload that runs, or should. Raises :class:`RejectedError`."""
        if self._report.degraded:
            self._drivers = self._catalog.stamp()
            await self._running.complete()
        good, trial = self._store.good(), self._running.trial
        payload = self.running.generation.payload if trial is not None or good is None else good.payload
        generation = self._files.generation(payload)
        if generation.name == self.running.generation.name:
            return
        if good is not None and trial is None and generation.name == good.name:
            return  # it is not edited, and cannot be loaded
        resolved = resolve(generation, self._catalog, remaining=bool(self.running.missing))
        # A payload that is still on trial stays so: if this fails, it is as bad as the edit.
        trying = "" if resolved.document is None or (good and good.payload == payload) else resolved.document.hash
        await self._store.stage(resolved.generation, trying)
        await self._running.change(resolved)

    async def _follow_desired(self, raw: bytes) -> None:
        from agent.update.signed.acceptance import NoChange

        self._inbox.begin("desired")
        try:
            outcome = await self._examiner.examine(raw, self.running)
            if isinstance(outcome, NoChange):
                self._inbox.seen(raw)
                return
            document, generation = outcome.document, outcome.resolved.generation
            mark = self._store.state.mark.raised(document.version, document.hash, document.issued_ms)
            await self._store.stage(generation, document.hash, outcome.message, mark, unproven=outcome.unproven)
        except RejectedError as error:
            self._refuse_desired(raw, error)
            return
        self._inbox.looked_at = ""
        await self._running.change(outcome.resolved)

    def _refuse_desired(self, raw: bytes, error: RejectedError) -> None:
        self._inbox.put_by("desired", raw, error, self._clock.now())
        self._report.refuse(error, self._journal)
        self._running.report()

    async def _prove(self) -> None:
        """Once the clock is set: look whether what was accepted before had expired."""
        document, unproven = self.running.document, self._store.state.unproven
        if not unproven or self._clock.now().clock_quality == 0:
            return
        from agent.base.trusted_time import check_expiry

        if document is not None and document.hash == unproven:
            try:
                check_expiry(document.expires_ms, self._examiner.moment())
            except RejectedError as error:
                await self._running.withdraw(unproven, Cause(error.code, error.message, error.path))
        await self._store.proven()
