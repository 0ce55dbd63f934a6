"""Which configuration runs: from the gateway's files or from the city, on trial, kept, or the one before it again."""

import asyncio
import contextlib
import hashlib
import logging
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.core import config as configuration
from agent.core import events, wire
from agent.core.config import DriverLookup
from agent.core.link import Message
from agent.core.probation import Probation, Verdict, judge_brokers
from agent.core.refusal import Refused
from agent.core.remote_config import merged
from agent.core.text import say
from agent.core.update_state import Cause, Generation
from agent.edges import clock
from agent.edges.store import Store
from agent.edges.update_dir import Folder, UpdateDir
from agent.site import Setup, Site

# What reads and verifies signed documents is loaded when one comes: most gateways run for months without.
if TYPE_CHECKING:
    from agent.core.desired import Document, Files, Standing

_log = logging.getLogger(__name__)

_CONFIRM_S = 300.0
_TICK_S = 0.5
_ASK_S = 30.0


class NoConfiguration(Exception):
    """The files are wrong, and there is no last good configuration; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Made:
    """A generation, and what it makes."""

    generation: Generation
    setup: Setup
    document: "Document | None"
    drift: tuple[str, ...]


@dataclass(slots=True)
class Trial:
    """A configuration that runs and is not kept yet. ``before``: the good one, where there is another."""

    probation: Probation
    before: Setup | None
    began_s: float
    ask_s: float = 0.0


class Updates:
    """Decides and remembers. ``file``: ``gardu.toml``; ``local.toml`` and ``trust.json`` lie beside it."""

    def __init__(self, folder: Path, file: Path, catalog: DriverLookup, now: clock.Clock) -> None:
        self._dir = UpdateDir(Folder(folder))
        self._file = file
        self._catalog = catalog
        self._clock = now
        self._news: dict[str, bytes] = {}
        self._edited = False
        self._wake = asyncio.Event()
        self._processed = ""
        self._running: Made | None = None
        self._trial: Trial | None = None
        self._refused: Cause | None = None

    def take(self, message: Message) -> None:
        """A message about configurations came; the newest of each kind counts."""
        self._news[message.topic.rpartition("/")[2]] = message.payload
        self._wake.set()

    def edited(self) -> None:
        """The gateway's own files were perhaps changed."""
        self._edited = True
        self._wake.set()

    async def opened(self, raw: bytes) -> bytes:
        """What the envelope of a command holds, once enough keys of the role have signed it. Raises
        :class:`Refused`."""
        from agent.core.envelope import COMMAND_TYPE, authenticated, parse
        from agent.edges.signatures import answered

        if self._dir.trust is None:
            raise Refused("no_trust", say("this gateway trusts nobody yet: install trust.json"))
        return await answered(authenticated(parse(raw), self._dir.trust.roles["command"], COMMAND_TYPE))

    async def first(self) -> Setup:
        """The configuration to start with. Raises :class:`NoConfiguration`."""
        await self._take_trust_file()
        candidate = self._candidate()
        if candidate is not None:
            return self._begin(candidate)
        good = self._last_good()
        try:
            current = self._made(self._read_files(good.generation.payload if good else None))
        except Refused as error:
            if good is None:
                raise NoConfiguration(f"{error.path}: {error.message}".removeprefix(": ")) from error
            self._refuse(error)
            return self._run(good)
        if good is None:
            self._dir.adopt(current.generation)
            return self._run(current)
        if current.generation.name == good.generation.name:
            return self._run(good)
        if current.generation.name in self._dir.state.bad:
            _log.error(say("{file} was tried and taken back: change it, or reload to try it again", file=self._file))
            return self._run(good)
        # Edited and restarted: the technician stands beside it, and sees what comes of it. A reload is tried out.
        self._dir.adopt(current.generation)
        return self._run(current)

    async def run(self, site: Site, store: Store) -> None:
        """Watch what is on trial, and take whatever comes; for ever."""
        self._announce_refusal(store)
        if self._trial is not None:
            self._dir.probation()
        self._tell(site)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self._trial is None else _TICK_S):
                    await self._wake.wait()
            self._wake.clear()
            await self._take_trust(site)
            if self._edited:
                self._edited = False
                await self._take_edit(site, store)
            raw = self._news.pop("desired", None)
            if raw:
                await self._take_desired(raw, site, store)
            if self._trial is not None:
                await self._judge(self._trial, site, store)

    def _candidate(self) -> Made | None:
        """What was on trial when the agent ended, if it may be tried again."""
        if not self._dir.state.under_way:
            return None
        generation = self._dir.candidate()
        try:
            if generation is None:
                raise Refused("torn", say("its file is broken"))
            if self._dir.state.worn_out:
                raise Refused("attempts", say("the gateway started three times with it"))
            return self._made(generation)
        except Refused as error:
            self._dir.roll_back(Cause(error.code, error.message, error.path))
            return None

    def _last_good(self) -> Made | None:
        generation = self._dir.good()
        try:
            return None if generation is None else self._made(generation)
        except Refused as error:  # a driver or a profile that it needs is gone
            _log.error(say("the last good configuration cannot be used: {why}", why=error))
            return None

    def _begin(self, made: Made) -> Setup:
        """Start to try a staged candidate: its sensors that changed are watched."""
        self._dir.applying()
        good = self._last_good()
        before = None if good is None else good.setup
        watched = frozenset(
            name for name in made.setup.drivers
            if before is None or name not in before.drivers or before.signature(name) != made.setup.signature(name)
        )  # fmt: skip
        required = {one.id for one in made.setup.config.sensor if one.required}
        confirm_s = made.document.confirm_s if made.document else _CONFIRM_S
        changed = before is not None and before.config.broker != made.setup.config.broker
        probation = Probation(confirm_s, watched & required, changed)
        self._trial = Trial(probation, before, asyncio.get_running_loop().time())
        return self._run(made)

    def _run(self, made: Made) -> Setup:
        self._running = made
        return made.setup

    async def _judge(self, trial: Trial, site: Site, store: Store) -> None:
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
            self._dir.confirm()
            self._trial = None
            self._tell(site)
        elif isinstance(verdict, Cause):
            await self._roll_back(verdict, site, store)

    async def _roll_back(self, cause: Cause, site: Site, store: Store) -> None:
        self._dir.roll_back(cause)
        self._trial = None
        _log.error(say("the new configuration is taken back: {why}", why=cause.message))
        good = self._last_good()
        if good is not None:
            await site.change(self._run(good))
        store.announce(events.config_rolled_back(cause.code, cause.message, cause.path))
        self._tell(site)

    async def _take_desired(self, raw: bytes, site: Site, store: Store) -> None:
        from agent.core import desired
        from agent.edges.signatures import answered

        assert self._running is not None
        decision = desired.examine(raw, self._standing(), self._files(self._running.generation), self._catalog)
        try:
            accepted = await answered(decision)
        except Refused as error:
            if not error.passing:
                self._processed = desired.fingerprint(raw)
            self._refuse(error)
            self._announce_refusal(store)
            self._tell(site)
            return
        if not isinstance(accepted, desired.Accepted):
            return
        document, running = accepted.document, self._running.generation
        generation = Generation(running.base, running.overlay, accepted.payload.decode())
        mark = self._dir.state.mark.raised(document.version, document.hash, document.issued_ms)
        self._dir.stage(generation, document.hash, accepted.message, mark)
        await self._change(self._made(generation), site)

    async def _take_edit(self, site: Site, store: Store) -> None:
        assert self._running is not None
        try:
            made = self._made(self._read_files(self._running.generation.payload))
        except Refused as error:
            _log.error(say("{file} is wrong: the agent goes on with what it had", file=self._file))
            self._refuse(error)
            self._announce_refusal(store)
            self._tell(site)
            return
        if made.generation.name != self._running.generation.name:
            self._dir.stage(made.generation)
            await self._change(made, site)
        _log.info(say("the configuration was read again"))

    async def _change(self, made: Made, site: Site) -> None:
        """Try a staged configuration in place of what runs. Sensors that were failing before are not its fault."""
        self._refused = None
        lost = {name for name, one in site.sensors.items() if one.sensor.health.lost}
        setup = self._begin(made)
        assert self._trial is not None
        probation = self._trial.probation
        self._trial.probation = replace(probation, watched=probation.watched - lost)
        await site.change(setup)
        self._dir.probation()
        self._tell(site)

    def _made(self, generation: Generation) -> Made:
        """What a generation makes. Raises :class:`Refused`."""
        if generation.payload:
            from agent.core.desired import made, read_document

            document = read_document(generation.payload.encode())
            files = self._files(generation)
            parsed, drift = made(document, files, self._catalog)
            tables = merged(files.base, document.config, files.overlay).tables
            assert parsed.config is not None
            return Made(generation, Setup(parsed.config, parsed.drivers, tables), document, drift)
        base, overlay = _tables(generation.base, self._file.name), _tables(generation.overlay, "local.toml")
        whole = merged(base, None, overlay)
        parsed = configuration.read(whole.tables, self._catalog)
        if parsed.config is None:
            problem = next(one for one in parsed.problems if one.level == "error")
            raise Refused("schema", problem.message, problem.path)
        return Made(generation, Setup(parsed.config, parsed.drivers, whole.tables), None, whole.drift)

    def _files(self, generation: Generation) -> "Files":
        from agent.core.desired import Files

        return Files(_tables(generation.base, self._file.name), _tables(generation.overlay, "local.toml"))

    def _read_files(self, payload: str | None) -> Generation:
        """The gateway's own files as they are now. Raises :class:`Refused`."""
        try:
            base = self._file.read_text("utf-8")
            local = self._file.with_name("local.toml")
            return Generation(base, local.read_text("utf-8") if local.exists() else "", payload)
        except (OSError, UnicodeDecodeError) as error:
            raise Refused("schema", say("{file} cannot be read: {why}", file=self._file, why=error), "") from error

    def _standing(self) -> "Standing":
        from agent.core.desired import Standing
        from agent.core.moment import Moment

        assert self._running is not None
        state, document = self._dir.state, self._running.document
        now = self._clock.now()
        moment = Moment(now.t, now.cq > 0, max(clock.BUILD_MS, state.mark.issued_ms))
        return Standing(
            self._running.setup.config.gateway.id, __version__, self._dir.trust, state.mark, moment,
            self._processed or state.processed, document.hash if document else "", frozenset(state.bad),
        )  # fmt: skip

    async def _take_trust_file(self) -> None:
        """The technician's first trust, where it is another one than before."""
        file = self._file.with_name("trust.json")
        if not file.exists():
            return
        from agent.core.trust import first, parse_chain, read_root
        from agent.edges.signatures import answered

        try:
            raw = file.read_bytes()
            origin = read_root(parse_chain(raw)[0].payload).fingerprint
            if origin != self._dir.state.origin:
                self._dir.keep_trust(await answered(first(raw)), origin)
        except (OSError, Refused) as error:
            _log.error(say("{file} cannot be used: {error}", file=file, error=error))

    async def _take_trust(self, site: Site) -> None:
        raw = self._news.pop("trust", None)
        if not raw or self._dir.trust is None:
            return
        from agent.core.trust import follow
        from agent.edges.signatures import answered

        try:
            followed = await answered(follow(raw, self._dir.trust))
            if followed.payload is not None:
                self._dir.keep_trust(followed)
                self._tell(site)
        except Refused as error:
            _log.warning(say("{file} cannot be used: {error}", file="config/trust", error=error))

    def _refuse(self, error: Refused) -> None:
        self._refused = Cause(error.code, error.message, error.path)
        _log.error(say("a configuration was refused: {why}", why=f"{error.path}: {error.message}".removeprefix(": ")))

    def _announce_refusal(self, store: Store) -> None:
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
        site.tell(wire.reported({
            "version": state.mark.version,
            "hash": state.mark.hash,
            "state": phase,
            "cause": None if cause is None else {"code": cause.code, "message": cause.message, "path": cause.path},
            "running": running,
            "drift": list(self._running.drift),
            "trust_version": self._dir.trust.version if self._dir.trust else 0,
            "t": self._clock.now().t,
        }))  # fmt: skip

    async def planned(self, raw: bytes) -> Mapping[str, object]:
        """What a configuration from the city would change here; nothing is kept of it. Raises :class:`Refused`."""
        from agent.core.config_plan import plan
        from agent.edges.signatures import answered

        assert self._running is not None
        generation, tables = self._running.generation, self._running.setup.tables
        return await answered(plan(raw, self._standing(), self._files(generation), self._catalog, tables))


def _tables(text: str, name: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise Refused("schema", say("{place} is not valid TOML: {why}", place=name, why=error), "") from error
