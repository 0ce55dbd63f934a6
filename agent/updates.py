"""Which configuration runs: from the gateway's files or from the city, on trial, kept, or the one before it again."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agent import __version__
from agent.core import events
from agent.core.config import DriverLookup
from agent.core.link import Message
from agent.core.log_fields import tagged
from agent.core.probation import Probation, Verdict, judge_brokers
from agent.core.reading import Stamp
from agent.core.refusal import Refused
from agent.core.text import say
from agent.core.update_state import Cause, Generation
from agent.edges import clock
from agent.edges.update_dir import UpdateDir
from agent.gateway_files import GatewayFiles, Made
from agent.site import Setup, Site
from agent.trusted import Trusted
from agent.update_steps import UpdateSteps

# What reads and verifies signed documents is loaded when one comes: most gateways run for months without.
if TYPE_CHECKING:
    from agent.core.desired import Accepted, Standing
    from agent.core.moment import Moment

_log = logging.getLogger(__name__)

_CONFIRM_S = 300.0
_TICK_S = 0.5
_ASK_S = 30.0
_PROVE_S = 10.0
_AGAIN_S = 300.0
_SET_DOWN_S = 0.5
_NEVER = float("inf")


class NoConfiguration(Exception):
    """The files are wrong, and there is no last good configuration; the text says what is wrong."""


class Now(Protocol):
    """What tells the time."""

    def now(self) -> Stamp:
        """The time of this moment, with its quality."""


class Events(Protocol):
    """What takes the agent's own events."""

    def announce(self, row: events.Row) -> None:
        """Keep one and send it."""


@dataclass(slots=True)
class Trial:
    """A configuration that runs and is not kept yet. ``before``: the good one, where there is another."""

    probation: Probation
    before: Setup | None
    began_s: float
    ask_s: float = 0.0


class Updates:
    """Decides, and remembers in ``kept``. ``file``: ``gardu.toml``; ``local.toml`` and ``trust.json`` lie beside it."""

    def __init__(self, kept: UpdateDir, file: Path, catalog: DriverLookup, now: Now) -> None:
        self._dir = kept
        self._steps = UpdateSteps(kept)
        self.trusted = Trusted(kept, self._steps)
        self._files = GatewayFiles(file, catalog)
        self._catalog = catalog
        self._clock = now
        self._news: dict[str, bytes] = {}
        self._edited = False
        self._wake = asyncio.Event()
        # What was not taken, to be looked at again; and the fingerprint of what that would change nothing for.
        self._put_by: dict[str, bytes] = {}
        self._looked_at = ""
        self._again_s = _NEVER
        self._running: Made | None = None
        self._trial: Trial | None = None
        self._refused: Cause | None = None

    @property
    def setup(self) -> Setup:
        """What runs."""
        assert self._running is not None
        return self._running.setup

    def take(self, message: Message) -> None:
        """A message about configurations came; the newest of each kind counts."""
        self._news[message.topic.rpartition("/")[2]] = message.payload
        self._wake.set()

    def edited(self) -> None:
        """The gateway's own files were perhaps changed."""
        self._edited = True
        self._wake.set()

    async def planned(self, raw: bytes) -> Mapping[str, object]:
        """What a configuration from the city would change here; nothing is kept of it. Raises :class:`Refused`."""
        from agent.core.config_plan import plan

        assert self._running is not None
        generation, tables = self._running.generation, self._running.setup.tables
        files = self._files.tables(generation)
        return await self.trusted.answered(plan(raw, self._standing(), files, self._catalog, tables))

    async def first(self) -> Setup:
        """The configuration to start with. Raises :class:`NoConfiguration`."""
        try:
            if raw := self._files.trust():
                await self.trusted.take_first(raw)
        except Refused as error:
            _log.error(say("{file} cannot be used: {error}", file="trust.json", error=error))
        was_on_trial = self._dir.state.under_way
        candidate = await self._candidate()
        if candidate is not None:
            self._on_trial(candidate)
            await self._steps.note(self._dir.applying)
            return self._run(candidate)
        good = self._last_good()
        if good is not None and not self._is_kept(good):
            self._refuse(Refused("torn", say("the file of the last good configuration is broken: the one before runs")))
        if was_on_trial and good is not None:  # an edit that was part of the trial is taken back with it
            return self._run(good)
        try:
            current = self._files.made(self._files.generation(good.generation.payload if good else None))
        except Refused as error:
            if good is None:
                raise NoConfiguration(f"{error.path}: {error.message}".removeprefix(": ")) from error
            self._refuse(error)
            return self._run(good)
        if good is not None and current.generation.name == good.generation.name:
            return self._run(good)
        if good is not None and current.generation.name in self._dir.state.bad:
            file = self._files.main
            _log.error(say("{file} was tried and taken back: change it, or reload to try it again", file=file))
            return self._run(good)
        # The first one; or edited and restarted: the technician stands beside it, and sees what comes of it. A reload
        # is tried out.
        await self._steps.note(partial(self._dir.adopt, current.generation))
        return self._run(current)

    async def run(self, site: Site, store: Events) -> None:
        """Watch what is on trial, and take whatever comes; for ever."""
        self._announce_refusal(store)
        if self._trial is not None:
            await self._steps.note(self._dir.probation)
        self._tell(site)
        while True:
            await self._woken()
            await self._steps.settle_if_due()
            if asyncio.get_running_loop().time() >= self._again_s:
                self._look_again()
            if await self._take_trust(site):
                self._look_again()
            if self._edited:
                self._edited = False
                await self._take_edit(site, store)
                self._look_again()
            raw = self._news.pop("desired", None)
            if raw:
                await self._take_desired(raw, site, store)
            await self._prove(site, store)
            if self._trial is not None:
                await self._judge(self._trial, site, store)

    async def close(self) -> None:
        """The agent stops in good order. Called after :meth:`run` was cancelled."""
        if self._dir.state.under_way:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SET_DOWN_S):
                    await self._steps.note(self._dir.set_down)

    async def _woken(self) -> None:
        """Wait for news, or for something to come back to."""
        now_s = asyncio.get_running_loop().time()
        due_s = min(self._steps.due_s, self._again_s, now_s + _PROVE_S if self._dir.state.unproven else _NEVER)
        wait_s = _TICK_S if self._trial is not None else max(0.0, due_s - now_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if wait_s == _NEVER else wait_s):
                await self._wake.wait()
        self._wake.clear()

    def _look_again(self) -> None:
        """What a message was refused for may have changed."""
        self._looked_at, self._again_s = "", _NEVER
        self._news = self._put_by | self._news
        self._put_by = {}

    async def _candidate(self) -> Made | None:
        """What was on trial when the agent ended, if it may be tried again."""
        if not self._dir.state.under_way:
            return None
        generation = self._dir.candidate()
        try:
            if generation is None:
                raise Refused("torn", say("its file is broken"))
            if self._dir.state.worn_out:
                raise Refused("attempts", say("the gateway started three times with it"))
            return self._files.made(generation)
        except Refused as error:
            await self._steps.note(partial(self._dir.roll_back, Cause(error.code, error.message, error.path)))
            return None

    def _last_good(self) -> Made | None:
        generation = self._dir.good()
        try:
            good = None if generation is None else self._files.made(generation)
        except Refused as error:  # a driver or a profile that it needs is gone
            _log.error(say("the last good configuration cannot be used: {why}", why=error))
            return None
        # One whose payload was withdrawn, with an edit of the technician's on top.
        withdrawn = good is not None and good.document is not None and good.document.hash in self._dir.state.bad
        return None if withdrawn else good

    def _on_trial(self, made: Made, lost: frozenset[str] = frozenset()) -> None:
        """Watch the sensors that a candidate changes. ``lost``: those that were failing before, which is not its
        fault."""
        good = self._last_good()
        before = None if good is None else good.setup
        changed = frozenset(
            name for name in made.setup.drivers
            if before is None or name not in before.drivers or before.signature(name) != made.setup.signature(name)
        )  # fmt: skip
        required = {one.id for one in made.setup.config.sensor if one.required}
        confirm_s = made.document.confirm_s if made.document else _CONFIRM_S
        other_broker = before is not None and before.config.broker != made.setup.config.broker
        probation = Probation(confirm_s, (changed & required) - lost, other_broker)
        self._trial = Trial(probation, before, asyncio.get_running_loop().time())

    def _is_kept(self, made: Made) -> bool:
        """Whether this is what the state says should run, and not what came in its place."""
        return made.generation.name in (self._dir.state.good, self._dir.state.candidate)

    def _run(self, made: Made) -> Setup:
        self._running = made
        return made.setup

    async def _judge(self, trial: Trial, site: Site, store: Events) -> None:
        now_s = asyncio.get_running_loop().time()
        proven = [name for name, one in site.sensors.items() if one.sensor.proven]
        acknowledged = site.uplink is not None and site.uplink.acknowledged
        verdict: Verdict = trial.probation.judge(now_s - trial.began_s, proven, acknowledged)
        if verdict == "ask_brokers" and trial.before is not None and now_s >= trial.ask_s:
            trial.ask_s = now_s + _ASK_S
            assert self._running is not None
            old, new = trial.before.config.broker, self._running.setup.config.broker
            verdict = judge_brokers(await site.can_connect(old), await site.can_connect(new))
        if verdict == "confirm":
            self._trial = None
            await self._steps.note(self._dir.confirm)
            self._tell(site)
        elif isinstance(verdict, Cause):
            await self._take_back(verdict, partial(self._dir.roll_back, verdict), site, store)

    async def _take_back(self, cause: Cause, step: Callable[[], None], site: Site, store: Events) -> None:
        """Go back to the good configuration; ``step`` says so to the disk."""
        self._trial = None
        _log.error(say("the new configuration is taken back: {why}", why=cause.message), extra=tagged(cause.code))
        await self._steps.note(step)
        good = self._last_good()
        if good is None:
            try:
                good = self._files.made(self._files.generation(None))
                await self._steps.note(partial(self._dir.stand_in, good.generation))
            except Refused as error:
                _log.error(say("the agent goes on with it: there is no other one ({why})", why=error))
        if good is not None:
            await site.change(self._run(good))
        store.announce(events.config_rolled_back(cause.code, cause.message, cause.path))
        self._tell(site)

    async def _take_desired(self, raw: bytes, site: Site, store: Events) -> None:
        from agent.core import desired

        assert self._running is not None
        self._put_by.pop("desired", None)
        standing, files = self._standing(), self._files.tables(self._running.generation)
        try:
            accepted = await self.trusted.answered(desired.examine(raw, standing, files, self._catalog))
            if isinstance(accepted, desired.Accepted):
                made = await self._stage(accepted)
        except Refused as error:
            if error.passing:
                self._again_s = asyncio.get_running_loop().time() + _AGAIN_S
            else:
                self._looked_at = desired.fingerprint(raw)
            if error.code != "too_large":
                self._put_by["desired"] = raw
            self._refuse(error, store)
            self._tell(site)
            return
        if not isinstance(accepted, desired.Accepted):
            self._looked_at = desired.fingerprint(raw)
            return
        self._looked_at = ""
        await self._change(made, site, store)

    async def _stage(self, accepted: "Accepted") -> Made:
        """Write down that it is to be tried. Raises :class:`Refused` where the disk does not take it."""
        assert self._running is not None
        document, running = accepted.document, self._running.generation
        made = self._files.made(Generation(running.base, running.overlay, accepted.payload.decode()))
        mark = self._dir.state.mark.raised(document.version, document.hash, document.issued_ms)
        await self._steps.keep(partial(
            self._dir.stage, made.generation, document.hash, accepted.message, mark, unproven=accepted.unproven
        ))  # fmt: skip
        return made

    async def _take_edit(self, site: Site, store: Events) -> None:
        assert self._running is not None
        payload = self._running.generation.payload
        try:
            made = self._files.made(self._files.generation(payload))
            if made.generation.name != self._running.generation.name:
                # A payload that is still on trial stays so: if this fails, it is as bad as the edit.
                good = self._dir.good()
                trying = "" if made.document is None or (good and good.payload == payload) else made.document.hash
                await self._steps.keep(partial(self._dir.stage, made.generation, trying))
                await self._change(made, site, store)
        except Refused as error:
            _log.error(say("{file} is wrong: the agent goes on with what it had", file=self._files.main))
            self._refuse(error, store)
            self._tell(site)
            return
        _log.info(say("the configuration was read again"))

    async def _change(self, made: Made, site: Site, store: Events) -> None:
        """Try a staged configuration in place of what runs."""
        self._refused = None
        self._on_trial(made, frozenset(name for name, one in site.sensors.items() if one.sensor.health.lost))
        await self._steps.note(self._dir.applying)
        try:
            await site.change(self._run(made))
        except Exception as error:  # noqa: BLE001 - the configuration brought it, whatever it is
            _log.exception("the change failed")
            cause = Cause("apply", say("it cannot be applied: {why}", why=repr(error)))
            await self._take_back(cause, partial(self._dir.roll_back, cause), site, store)
            return
        await self._steps.note(self._dir.probation)
        self._tell(site)

    async def _prove(self, site: Site, store: Events) -> None:
        """Once the clock is set: look whether what was accepted before had expired."""
        assert self._running is not None
        document, unproven = self._running.document, self._dir.state.unproven
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
                await self._take_back(cause, partial(back, cause), site, store)
        await self._steps.note(self._dir.proven)

    def _moment(self) -> "Moment":
        from agent.core.moment import Moment

        now = self._clock.now()
        return Moment(now.t, now.cq > 0, max(clock.BUILD_MS, self._dir.state.mark.issued_ms))

    def _standing(self) -> "Standing":
        from agent.core.desired import Standing

        assert self._running is not None
        state, document = self._dir.state, self._running.document
        # What was accepted last is no news, unless its file was lost since.
        accepted = state.processed if self._is_kept(self._running) else ""
        return Standing(
            self._running.setup.config.gateway.id, __version__, self._dir.trust, state.mark, self._moment(),
            frozenset({accepted, self._looked_at}), document.hash if document else "", frozenset(state.bad),
        )  # fmt: skip

    async def _take_trust(self, site: Site) -> bool:
        """Follow ``config/trust``; whether that led on."""
        raw = self._news.pop("trust", None)
        if not raw:
            return False
        try:
            led_on = await self.trusted.follow(raw)
        except Refused:
            self._put_by["trust"] = raw
            self._again_s = asyncio.get_running_loop().time() + _AGAIN_S
            return False
        if led_on:
            self._tell(site)
        return led_on

    def _refuse(self, error: Refused, store: Events | None = None) -> None:
        """Note it, and announce it unless the one before was refused for the same."""
        before, self._refused = self._refused, Cause(error.code, error.message, error.path)
        line = say("a configuration was refused: {why}", why=f"{error.path}: {error.message}".removeprefix(": "))
        _log.error(line, extra=tagged(error.code))
        if store is not None and self._refused != before:
            self._announce_refusal(store)

    def _announce_refusal(self, store: Events) -> None:
        cause = self._refused
        if cause is not None:
            store.announce(events.config_rejected(cause.code, cause.message, cause.path))

    def _tell(self, site: Site) -> None:
        """Publish ``config/reported``."""
        assert self._running is not None
        state, document = self._dir.state, self._running.document
        cause = self._refused or state.cause
        phases: Mapping[str, str] = {"staged": "applied", "applying": "applied", "none": "confirmed"}
        phase = "rejected" if self._refused is not None else phases.get(state.phase, state.phase)
        running: dict[str, Any] = {
            "version": document.version if document else 0,
            "hash": document.hash if document else hashlib.sha256(self._running.generation.base.encode()).hexdigest(),
        }
        site.tell(
            {
                "version": state.mark.version,
                "hash": state.mark.hash,
                "state": phase,
                "cause": None if cause is None else {"code": cause.code, "message": cause.message, "path": cause.path},
                "running": running,
                "drift": list(self._running.drift),
                "trust_version": self._dir.trust.version if self._dir.trust else 0,
                "t": self._clock.now().t,
            }
        )
