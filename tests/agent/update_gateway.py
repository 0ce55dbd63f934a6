"""A gateway that follows its configurations: real files, keys and signatures, and a site that only notes what runs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.core import events
from agent.core.config_resolve import ResolvedConfig
from agent.core.link import Message
from agent.core.moment import rfc_3339
from agent.core.reading import Stamp
from agent.edges import clock
from agent.edges.catalog import Catalog
from agent.edges.update_dir import Folder, UpdateDir
from agent.updates import Updates
from tests.support.agent_process import BASE, configuration, sensor
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import until

DAY_MS = 86_400_000
NOW_MS = clock.BUILD_MS + 40 * DAY_MS
URL = "mqtt://127.0.0.1:1"


@dataclass
class Sensor:
    """One that is well."""

    @dataclass
    class Task:
        proven: bool = True
        health: Any = field(default_factory=lambda: type("Health", (), {"lost": False}))

    sensor: Task = field(default_factory=Task)


@dataclass
class Uplink:
    """A broker that acknowledges; ``online``, ``sessions``: whether it takes connections."""

    telemetry_acknowledged: bool = True
    echoed: bool = True
    online: bool = True
    sessions: int = 1


class Site:
    """Every sensor of the setup is well, unless it is named in ``silent``; the broker acknowledges if it is there."""

    def __init__(self) -> None:
        self.setups: list[ResolvedConfig] = []
        self.reports: list[dict[str, Any]] = []
        self.silent: set[str] = set()
        self.fails = ""
        self.uplink = Uplink()
        self.sensors: dict[str, Sensor] = {}

    async def change(self, resolved: ResolvedConfig) -> None:
        if self.fails in [one.id for one in resolved.settings.sensor]:
            raise RuntimeError("no such thing")
        self.setups.append(resolved)
        self.sensors = {one.id: Sensor(Sensor.Task(one.id not in self.silent)) for one in resolved.settings.sensor}

    def report_health(self) -> None:
        """A reading of its own is of no interest here."""

    def tell(self, report: Mapping[str, Any]) -> None:
        self.reports.append(dict(report))

    @property
    def intervals(self) -> dict[str, float]:
        return {one.id: one.interval_s for one in self.setups[-1].settings.sensor}


class Gateway:
    """One gateway over its files, with a clock that can be set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "gardu.toml"
        self.maintainer = Maintainer(folder / "keys")
        self.stamp = Stamp(NOW_MS, 0, 1)
        self.proven_ms = 0
        self.site = Site()
        self.events: list[events.Row] = []
        self.texts: dict[str, str] = {}
        self.updates: Updates

    def write(self, *names: str, interval_s: int = 1) -> None:
        """``gardu.toml`` with these sensors."""
        text = configuration(URL, [sensor(one, "system", more=f"interval_s = {interval_s}") for one in names])
        self.file.write_text(text)

    def payload(self, version: int, *names: str, interval_s: int = 1, **more: Any) -> bytes:
        """A signed configuration with these sensors. It is of today, for ten days."""
        usual = {"issued": rfc_3339(NOW_MS), "expires": rfc_3339(NOW_MS + 10 * DAY_MS), "confirm_s": 1}
        sensors = [{"id": one, "driver": "system", "interval_s": interval_s} for one in names]
        config = {"broker": {"url": URL}, "sensor": sensors}
        return self.maintainer.configuration(version, config, **{**usual, **more})

    def made(self) -> Updates:
        return Updates(UpdateDir(Folder(self.folder / "config")), self.file, Catalog(), self)

    def send(self, payload: bytes, leaf: str = "desired") -> None:
        self.updates.take(Message(f"{BASE}/config/{leaf}", payload, True))

    def now(self) -> Stamp:
        return self.stamp

    def announce(self, row: events.Row) -> None:
        self.events.append(row)

    def remember(self, name: str, value: str) -> None:
        self.texts[name] = value

    def recall(self, name: str) -> str:
        return self.texts.get(name, "")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From a start to a clean stop. The site begins anew, the files stay."""
        self.updates = self.made()
        self.site.setups.clear()
        self.site.reports.clear()
        await self.site.change(await self.updates.first())
        task = asyncio.create_task(self.updates.run(self.site, self))  # type: ignore[arg-type]
        try:
            await until(lambda: bool(self.site.reports) or task.done())
            yield
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.updates.close()

    async def report(self, version: int, state: str) -> dict[str, Any]:
        def there() -> bool:
            return bool(self.site.reports) and (version, state) == (
                self.site.reports[-1]["version"], self.site.reports[-1]["state"])  # fmt: skip

        try:
            await until(there, 10)
        except TimeoutError:
            raise AssertionError(self.site.reports[-3:]) from None
        return self.site.reports[-1]
