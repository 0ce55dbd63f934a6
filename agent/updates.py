"""Which configuration runs: from the gateway's files or from the city, on trial, kept, or the one before it again."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agent import __version__
from agent.core import events, version_mark
from agent.core.config import DriverLookup
from agent.core.config_resolve import ResolvedConfig, resolve
from agent.core.link import Message
from agent.core.log_fields import tagged
from agent.core.reading import Stamp
from agent.core.refusal import Refused
from agent.core.text import say
from agent.core.update_state import Cause
from agent.edges import clock
from agent.edges.local_files import LocalFiles
from agent.edges.update_dir import UpdateDir
from agent.site import Site
from agent.trusted import Trusted
from agent.update_guard import Guard
from agent.update_inbox import UpdateInbox
from agent.update_report import Events, UpdateReport
from agent.update_running import UpdateRunning
from agent.update_start import NoConfiguration, UpdateStart
from agent.update_steps import UpdateSteps

__all__ = ["Catalog", "NoConfiguration", "Updates"]

# What reads and verifies signed documents is loaded when one comes: most gateways run for months without.
if TYPE_CHECKING:
    from agent.core.desired import Accepted, GatewayContext
    from agent.core.moment import Moment

_log = logging.getLogger(__name__)

_TICK_S = 0.5
_PROVE_S = 10.0
_FILES_S = 60.0
_SET_DOWN_S = 0.5
_NEVER = float("inf")
_MARK = "config.mark"


class Now(Protocol):
    """What tells the time."""

    def now(self) -> Stamp:
        """The time of this moment, with its quality."""

    @property
    def proven_ms(self) -> int:
        """The newest time of a synchronised clock, over restarts; 0 where there was none."""


class Catalog(DriverLookup, Protocol):
    """The drivers, and whether others have come."""

    def stamp(self) -> object:
        """Another value when profiles or drivers were changed. Cheap."""


class Updates:
    """Decides, and remembers in ``kept``. ``file``: ``gardu.toml``; ``local.toml`` and ``trust.json`` lie beside it."""

    def __init__(self, kept: UpdateDir, file: Path, catalog: Catalog, now: Now) -> None:
        self._dir = kept
        self._steps = UpdateSteps(kept)
        self.trusted = Trusted(kept, self._steps)
        self._files = LocalFiles(file)
        self._catalog = catalog
        self._clock = now
        self._guard = Guard()
        self._inbox = UpdateInbox()
        self._report = UpdateReport(kept, lambda: now.now().t)
        start = UpdateStart(kept, self._steps, self._files, catalog, self._report)
        self._running = UpdateRunning(kept, self._steps, catalog, start, self._report)
        self._edited = False
        self._drivers: object = None
        self._remembered = ""

    @property
    def running(self) -> ResolvedConfig:
        """What runs."""
        return self._running.resolved

    def take(self, message: Message) -> None:
        """A message about configurations came; the newest of each kind counts."""
        self._inbox.take(message)

    def edited(self) -> None:
        """The gateway's own files were perhaps changed."""
        self._edited = True
        self._inbox.wake.set()

    async def planned(self, raw: bytes) -> Mapping[str, object]:
        """What a configuration from the city would change here; nothing is kept of it. Raises :class:`Refused`."""
        from agent.core.config_plan import plan

        return await self.trusted.answered(plan(raw, self._context(), self._catalog, self.running))

    async def first(self) -> ResolvedConfig:
        """The configuration to start with. Raises :class:`NoConfiguration`."""
        if self._dir.unwritten:
            await self._steps.note(self._dir.settle)
        await self._guard.run("trust.json", self._read_trust_file())
        return await self._running.begin()

    async def run(self, site: Site, store: Events) -> None:
        """Watch what is on trial, and take whatever comes; for ever."""
        await self._guard.run("config/reported", self._begin(site, store))
        while True:
            await self._woken()
            await self._guard.run("config", self._look_around(site, store))
            if raw := self._inbox.pop("trust"):
                await self._guard.run("config/trust", self._take_trust(raw, site))
            if self._edited:
                self._edited = False
                failed = await self._guard.run(self._files.main.name, self._take_edit(site, store))
                if failed is not None:
                    self._report.refuse(failed, store, local=True)
                    self._running.tell(site)
            if raw := self._inbox.pop("desired"):
                failed = await self._guard.run("config/desired", self._take_desired(raw, site, store))
                if failed is not None:
                    self._refuse_desired(raw, failed, site, store)
            await self._guard.run("config", self._prove(site, store))
            failed = await self._guard.run("config", self._running.judge(site, store))
            if failed is not None and self._running.trial is not None:
                await self._running.roll_back(Cause(failed.code, failed.message), site, store)

    async def close(self) -> None:
        """The agent stops in good order. Called after :meth:`run` was cancelled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SET_DOWN_S):
                await self._running.set_down()

    async def _begin(self, site: Site, store: Events) -> None:
        self._report.begin(store)
        if self._dir.prove(version_mark.decoded(store.recall(_MARK))) or self._dir.lost:
            version = self._dir.state.mark.version
            line = say("the record of accepted configurations was lost; none older than version {version} is accepted",
                       version=version)  # fmt: skip
            _log.error(line, extra=tagged("update_state_lost"))
            store.announce(events.update_state_lost(version))
            await self._steps.note(self._dir.settle)
        self._drivers = self._catalog.stamp()
        self._remember(store)
        await self._running.begun(site)

    async def _woken(self) -> None:
        """Wait for news, or for something to come back to."""
        now_s = asyncio.get_running_loop().time()
        due_s = min(
            self._steps.due_s,
            self._inbox.due_s,
            now_s + _PROVE_S if self._dir.state.unproven else _NEVER,
            now_s + _FILES_S if self._report.degraded else _NEVER,
        )
        wait_s = _TICK_S if self._running.trial is not None else max(0.0, due_s - now_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if wait_s == _NEVER else wait_s):
                await self._inbox.wake.wait()
        self._inbox.wake.clear()

    async def _look_around(self, site: Site, store: Events) -> None:
        """What comes by itself: a disk that takes things again, a clock that is set, a driver that is back."""
        await self._steps.settle_if_due()
        self._remember(store)
        self._inbox.look_again_if_due(self._clock.now())
        if self._report.degraded and (stamp := self._catalog.stamp()) != self._drivers:
            self._drivers = stamp
            await self._running.complete(site)

    def _remember(self, store: Events) -> None:
        """Keep the mark in the store as well: whoever loses the one still has the other."""
        mark = self._dir.state.mark
        text = mark.encoded() if mark != version_mark.Mark() else ""
        if text and text != self._remembered:
            if text != store.recall(_MARK):
                store.remember(_MARK, text)
            self._remembered = text

    async def _read_trust_file(self) -> None:
        try:
            if raw := self._files.trust():
                await self.trusted.take_first(raw)
        except Refused as error:
            line = say("{file} cannot be used: {error}", file="trust.json", error=error)
            _log.error(line, extra=tagged(error.code))

    async def _take_trust(self, raw: bytes, site: Site) -> None:
        """Follow ``config/trust``; what was refused may be right by it."""
        try:
            led_on = await self.trusted.follow(raw)
        except Refused as error:
            self._inbox.put_by("trust", raw, error, self._clock.now())
            return
        if led_on:
            self._running.tell(site)
            self._inbox.look_again()

    async def _take_edit(self, site: Site, store: Events) -> None:
        try:
            await self._read_trust_file()
            await self._read_files(site, store)
        except Refused as error:
            line = say("{file} is wrong: the agent goes on with what it had", file=self._files.main)
            _log.error(line, extra=tagged(error.code))
            self._report.refuse(error, store, local=True)
            self._running.tell(site)
        else:
            _log.info(say("the configuration was read again"))
        finally:
            self._inbox.look_again()

    async def _read_files(self, site: Site, store: Events) -> None:
        """Try the files as they are now, with the payload that runs, or should. Raises :class:`Refused`."""
        if self._report.degraded:
            self._drivers = self._catalog.stamp()
            await self._running.complete(site)
        good, trial = self._dir.good(), self._running.trial
        payload = self.running.generation.payload if trial is not None or good is None else good.payload
        generation = self._files.generation(payload)
        if generation.name == self.running.generation.name:
            return
        if good is not None and trial is None and generation.name == good.name:
            return  # it is not edited, and cannot be loaded
        resolved = resolve(generation, self._catalog, remaining=bool(self.running.missing))
        # A payload that is still on trial stays so: if this fails, it is as bad as the edit.
        trying = "" if resolved.document is None or (good and good.payload == payload) else resolved.document.hash
        await self._steps.keep(partial(self._dir.stage, resolved.generation, trying))
        await self._running.change(resolved, site, store)

    async def _take_desired(self, raw: bytes, site: Site, store: Events) -> None:
        from agent.core import desired

        self._inbox.begin("desired")
        try:
            accepted = await self.trusted.answered(
                desired.examine(raw, self._context(), self.running.generation, self._catalog)
            )
            if isinstance(accepted, desired.Accepted):
                await self._stage(accepted)
        except Refused as error:
            self._refuse_desired(raw, error, site, store)
            return
        if not isinstance(accepted, desired.Accepted):
            self._inbox.seen(raw)
            return
        self._inbox.looked_at = ""
        await self._running.change(accepted.resolved, site, store)

    def _refuse_desired(self, raw: bytes, error: Refused, site: Site, store: Events) -> None:
        self._inbox.put_by("desired", raw, error, self._clock.now())
        self._report.refuse(error, store)
        self._running.tell(site)

    async def _stage(self, accepted: "Accepted") -> None:
        """Write down that it is to be tried. Raises :class:`Refused` where the disk does not take it."""
        document = accepted.document
        mark = self._dir.state.mark.raised(document.version, document.hash, document.issued_ms)
        await self._steps.keep(partial(
            self._dir.stage, accepted.resolved.generation, document.hash, accepted.message, mark,
            unproven=accepted.unproven,
        ))  # fmt: skip

    async def _prove(self, site: Site, store: Events) -> None:
        """Once the clock is set: look whether what was accepted before had expired."""
        document, unproven = self.running.document, self._dir.state.unproven
        if not unproven or self._clock.now().cq == 0:
            return
        from agent.core.moment import check_expiry

        if document is not None and document.hash == unproven:
            try:
                check_expiry(document.expires_ms, self._moment())
            except Refused as error:
                cause = Cause(error.code, error.message, error.path)
                on_trial = self._dir.state.trying == unproven
                back = self._dir.roll_back if on_trial else partial(self._dir.withdraw, unproven)
                await self._running.take_back(cause, partial(back, cause), site, store)
        await self._steps.note(self._dir.proven)

    def _moment(self) -> "Moment":
        from agent.core.moment import Moment

        now = self._clock.now()
        return Moment(now.t, now.cq > 0, max(clock.BUILD_MS, self._clock.proven_ms, self._dir.state.mark.issued_ms))

    def _context(self) -> "GatewayContext":
        from agent.core.desired import GatewayContext

        state, document = self._dir.state, self.running.document
        # What was accepted last is no news, unless its file was lost since.
        accepted = state.processed if self._running.is_kept else ""
        return GatewayContext(
            self.running.settings.gateway.id, __version__, self._dir.trust, state.mark, self._moment(),
            frozenset({accepted, self._inbox.looked_at}), document.hash if document else "", frozenset(state.bad),
        )  # fmt: skip
