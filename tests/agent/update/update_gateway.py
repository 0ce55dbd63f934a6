"""A gateway that follows its configurations: real files, keys and signatures; a runtime that only notes what it is to
run, and a clock that stands still until a test moves it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.base.events import Row
from agent.base.io import clock
from agent.base.io.atomic_files import AtomicDirectory
from agent.base.reading import Stamp
from agent.base.timekeeping.trusted_time import rfc_3339
from agent.config.io.catalog import Catalog
from agent.config.io.local_files import LocalFiles
from agent.config.resolve import ResolvedConfig
from agent.delivery.connection import Message
from agent.update.io import signatures
from agent.update.io.update_store import UpdateStore
from agent.update.parts import UpdateParts
from agent.update.probation import Observation
from agent.update.signed.dsse import SignatureCheck
from agent.update.timings import UpdateTimings
from agent.update.updater import Updater
from tests.support.agent_process import BASE, configuration, sensor
from tests.support.maintainer import Maintainer

DAY_MS = 86_400_000
NOW_MS = clock.BUILD_MS + 40 * DAY_MS
URL = "mqtt://127.0.0.1:1"
TIMINGS = UpdateTimings()


@dataclass
class FakeRuntime:
    """Every sensor works unless it is in ``silent``; the broker is as the fields say. A configuration with the sensor
    ``impossible`` cannot be run; the next ``failures`` changes fail, whatever they are."""

    failures: int = 0
    silent: set[str] = field(default_factory=set)
    impossible: str = ""
    acknowledged: bool = True
    echoed: bool = True
    changes: list[ResolvedConfig] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    rejected_edit: str = ""

    async def change(self, resolved: ResolvedConfig) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not now")
        if self.impossible in [sensor.id for sensor in resolved.settings.sensor]:
            raise RuntimeError("no such thing")
        self.changes.append(resolved)

    def observe(self) -> Observation:
        names = frozenset(sensor.id for sensor in self.changes[-1].settings.sensor)
        return Observation(names - self.silent, frozenset(), True, 1, self.acknowledged, self.echoed)

    def report_health(self) -> None:
        """A reading of its own is of no interest here."""

    def report(self, message: Mapping[str, object], rejected_edit: str) -> None:
        self.reports.append(dict(message))
        self.rejected_edit = rejected_edit

    @property
    def intervals(self) -> dict[str, float | None]:
        """What runs: sensor id -> its interval."""
        return {sensor.id: sensor.interval_s for sensor in self.changes[-1].settings.sensor}


@dataclass
class FakeJournal:
    """Events, and texts that outlive the process."""

    events: list[Row] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def announce(self, row: Row) -> None:
        self.events.append(row)

    def remember(self, name: str, value: str) -> None:
        self.texts[name] = value

    def recall(self, name: str) -> str:
        return self.texts.get(name, "")

    @property
    def names(self) -> list[object]:
        return [row["ev"] for row in self.events]


class FakeClock:
    """Unix time in milliseconds with its quality, and milliseconds since boot."""

    def __init__(self) -> None:
        self.wall_ms = NOW_MS
        self.quality = 1
        self.mono_ms = 1_000_000
        self.proven_ms = 0

    def now(self) -> Stamp:
        return Stamp(self.wall_ms, self.mono_ms, self.quality)

    def seconds(self) -> float:
        return self.mono_ms / 1000

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.mono_ms += round(seconds * 1000)
        self.wall_ms += round(seconds * 1000)

    def set(self, wall_ms: int, quality: int = 1) -> None:
        """Set the clock."""
        self.wall_ms, self.quality = wall_ms, quality


class Gateway:
    """One gateway over its files. ``verified``: one entry for each process that verified signatures."""

    def __init__(self, folder: Path, catalog: Catalog | None = None, files: AtomicDirectory | None = None) -> None:
        self.folder = folder
        self.file = folder / "gardu.toml"
        self.maintainer = Maintainer(folder / "keys")
        self.clock = FakeClock()
        self.runtime = FakeRuntime()
        self.journal = FakeJournal()
        self.verified: list[int] = []
        self.parts: UpdateParts
        self.updater: Updater
        self._catalog = catalog or Catalog()
        self.files = files or AtomicDirectory(folder / "config")
        (folder / "trust.json").write_bytes(self.maintainer.trust())
        self.write("air-a")

    def write(self, *names: str, interval_s: int = 1) -> None:
        """``gardu.toml`` with these sensors."""
        text = configuration(URL, [sensor(name, "system", more=f"interval_s = {interval_s}") for name in names])
        self.file.write_text(text)

    def payload(self, version: int, *names: str, interval_s: int = 1, **more: Any) -> bytes:
        """A signed configuration with these sensors. It is of today, for ten days, and tried for a second."""
        usual = {"issued": rfc_3339(NOW_MS), "expires": rfc_3339(NOW_MS + 10 * DAY_MS), "confirm_s": 1}
        sensors = [{"id": name, "driver": "system", "interval_s": interval_s} for name in names]
        config = {"broker": {"url": URL}, "sensor": sensors}
        return self.maintainer.configuration(version, config, **{**usual, **more})

    async def start(self) -> None:
        """A process begins. The runtime begins anew, the files stay."""
        store = UpdateStore(self.files, self.clock.seconds, TIMINGS.settle_s)
        self.parts = UpdateParts.of(store, LocalFiles(self.file), self._catalog, self.clock, TIMINGS, self._verify)
        chosen = await self.parts.choose()
        self.runtime.changes.clear()
        self.runtime.reports.clear()
        await self.runtime.change(chosen.resolved)
        self.updater = Updater(self.parts, self.runtime, self.journal, chosen)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From a start to a clean stop."""
        await self.start()
        await self.updater.begin()
        try:
            yield
        finally:
            await self.updater.close()
            self.parts.store.close()

    async def killed(self) -> None:
        """From a start to a sudden end."""
        await self.start()
        self.parts.store.close()

    async def send(self, payload: bytes, leaf: str = "desired") -> dict[str, Any]:
        """A message comes, and is worked on; give what is reported then."""
        self.parts.inbox.on_message(self.message(payload, leaf))
        return await self.step()

    def message(self, payload: bytes, leaf: str = "desired") -> Message:
        """A retained message of the city."""
        return Message(f"{BASE}/config/{leaf}", payload, True)

    async def edit(self) -> dict[str, Any]:
        """The gateway is told that its files were edited."""
        self.parts.inbox.reload()
        return await self.step()

    async def step(self, passed_s: float = 0.0) -> dict[str, Any]:
        """Time passes, and what is due is done."""
        self.clock.pass_s(passed_s)
        await self.updater.step()
        return self.report

    @property
    def report(self) -> dict[str, Any]:
        """What was reported last."""
        return self.runtime.reports[-1]

    async def _verify(self, asked: Sequence[SignatureCheck]) -> Sequence[bool]:
        self.verified.append(len(asked))
        return await signatures.verify_signatures(asked)


def outcome(report: Mapping[str, Any]) -> tuple[int, str, str]:
    """Version, state and the code of the cause."""
    return report["version"], report["state"], report["cause"]["code"] if report["cause"] else ""
