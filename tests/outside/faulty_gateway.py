"""A gateway whose disk, broker and sensors a test has in its hands, and what may be missing of its readings."""

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.store.io.database import Database
from agent.store.stream_account import StreamAccount
from drivers.sdk.contract import Value
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.outside.agent_under_test import AgentUnderTest
from tests.outside.disk_faults import FaultyDisk
from tests.outside.fault_judge import Excuses, Violation
from tests.outside.floods import Floods
from tests.outside.unruly_broker import UnrulyBroker
from tests.support.agent_process import BASE, AgentProcess, configuration, sensor
from tests.support.mosquitto import until

FAILING = ("full", "no inodes", "protected")
"""Faults of a disk that takes nothing, and recovers."""
COMMIT_S = 0.3
DELAY_S = 2.0
"""A machine that is busy with other things may bring a reading to the disk so much later than it should be."""
_RATE_HZ = 20.0
_AGAIN_S = 90.0
"""Within this, readings arrive again after all faults: 20 s until an acknowledgement is given up, and a wait before the
next connection that grows with the outage."""
_NOTICED_S = 3.0
"""A disk that was well again for so long, and of which the agent has said nothing, took everything."""


class FaultyGateway(AgentUnderTest):
    """Two sensors that count, some that flood, a small disk and an unruly broker. ``async with`` it.

    ``module``: what is run in place of the agent. ``said``: by sensor, each reading and when it was said.
    """

    def __init__(self, folder: Path, seed: int, module: str, environ: Mapping[str, str] | None) -> None:
        super().__init__(folder, seed, module, environ)
        self.disk = FaultyDisk(folder / "state", self.dice)
        self.broker = UnrulyBroker(self.dice)
        self.floods = Floods()
        self.said: dict[str, dict[int, float]] = defaultdict(dict)
        self.devices: dict[str, SimulatedDevice] = {}
        self.excuses = Excuses()
        self.failing_since_s: float | None = None
        self.site = 0
        self.label = 0
        self.boot = 0
        self._recovered_s = 0.0

    async def _begin(self) -> None:
        await self._stack.enter_async_context(self.broker)
        self._stack.enter_context(self.disk)
        self._stack.enter_context(self.floods)
        for name in ("dust-0", "dust-1"):
            link = self.folder / f"tty-{name}"
            device = SimulatedDevice(model("pms5003"), values=self._values(name), period_s=1 / _RATE_HZ, link=link)
            self.devices[name] = await self._stack.enter_async_context(device)
        self.agent = AgentProcess(self.folder, self._text(), environ=self._environ, module=self._module)
        self._stack.push_async_callback(self.agent.kill)
        await self.start()
        await self.arrives("after the start")

    def _text(self) -> str:
        """The configuration. A label belongs to the description of the sensors, the site to the path."""
        sensors = [sensor("load", "system", more=f'interval_s = 1\nlabel = "load {self.label}"')]
        sensors += [sensor(name, "pms5003", self.folder / f"tty-{name}") for name in ("dust-0", "dust-1")]
        sensors += [
            sensor(f"flood-{at}", "sds011", port, "max_rows_per_s = 100000")
            for at, port in enumerate(self.floods.ports)
        ]
        publish = "max_delay_s = 0.2\nbacklog_rows_per_s = 20000"
        text = configuration(self.broker.url, sensors, publish, commit_s=COMMIT_S)
        text = text.replace("[store]\n", "[store]\nmax_bytes = 2000000\n")
        return text.replace('site = "checkpoint"', f'site = "site-{self.site}"')

    @property
    def base(self) -> str:
        """The path of its topics."""
        return BASE.replace("checkpoint", f"site-{self.site}")

    def _values(self, name: str) -> Callable[[int], Mapping[str, Value]]:
        def values(number: int) -> Mapping[str, Value]:
            self.said[name].setdefault(number, time.monotonic())
            return {"n0_3": number % 60_000, "n10": 0}

        return values

    async def start(self) -> None:
        """Start the agent (again), with the label and the site that it has now."""
        self.agent.file.write_text(self._text())
        await self.agent.start({"GARDU_BOOT": f"b00700{self.boot:02x}"})

    async def stop(self, writable: bool) -> float:
        """Stop the agent; since when readings may be missing for that. ``writable``: whether its disk takes what it
        gives."""
        before = len(self.agent.lines)
        began_s = time.monotonic()
        try:
            status, _ = await self.agent.stop()
        except TimeoutError:
            raise Violation("it does not end within 20 s") from None
        if status and writable:
            raise Violation(f"exit status {status}: {self.agent.lines[-3:]}")
        found = [re.search(r"(\d+) readings were neither", line) for line in self.agent.lines[before:]]
        self.excuses.left += sum(int(match[1]) for match in found if match is not None)
        return began_s - DELAY_S

    async def arrives(self, when: str) -> None:
        """Return when a reading of each sensor has arrived that was said from now on. Raises :class:`Violation`."""
        since = {f"telemetry/{name}": len(self.said[name]) for name in self.devices}
        taken = self.broker.taken

        def arrived() -> bool:
            return all(max(taken[stream], default=-1) >= number for stream, number in since.items())

        with contextlib.suppress(TimeoutError):
            await until(lambda: arrived() or not self.agent.running(), _AGAIN_S)
        if not arrived():
            raise Violation(f"no reading arrives {when}: {self.agent.lines[-3:]}")

    def durable(self) -> bool:
        """Whether the disk takes what the agent gives, by what the agent says."""
        told = [line for line in self.agent.lines if "holding readings" in line or "store can be written again" in line]
        if told and "can be written again" not in told[-1]:
            return False
        return self.failing_since_s is None or 0 < self._recovered_s < time.monotonic() - _NOTICED_S

    def break_disk(self, how: str, pid: int | None) -> None:
        """Let the disk suffer this."""
        if how in FAILING and (self.failing_since_s is None or self.durable()):
            self.failing_since_s, self._recovered_s = time.monotonic(), 0.0
        self.disk.suffer(how, pid)

    def mend_disk(self, how: str) -> None:
        """Let it be well again."""
        if how in FAILING:
            with contextlib.suppress(ProcessLookupError):
                self.disk.recover(self.agent.pid if how == "protected" or not self.disk.mounted else None)
            self._recovered_s = time.monotonic()
        elif self.durable():
            self.failing_since_s = None

    def forgive(self) -> None:
        """What the broker does not have yet was only in a file that is damaged or gone, and nobody knows of it."""
        for name, said in self.said.items():
            self.excuses.numbers[name] |= said.keys() - self.broker.taken[f"telemetry/{name}"].keys()

    def accounts(self) -> Mapping[str, StreamAccount]:
        """How the numbers of each stream stand. For a stopped agent."""
        database = Database(self.disk.store, 1 << 28, "00000000", "00000000")
        try:
            return {name: account.copy() for name, account in database.accounts.items()}
        finally:
            database.close()
