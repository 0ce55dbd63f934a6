"""An agent that a test feeds with anything: what it has, and whether it is still well."""

import asyncio
import json
import os
import time
import tty
from collections.abc import Mapping
from pathlib import Path

from tests.outside.agent_under_test import AgentUnderTest
from tests.support.agent_process import BASE, AgentProcess, configuration, sensor
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import until
from tests.support.scripted_broker import ScriptedBroker, Session

_LINES = "[sensor.lines]\nformat = 'pattern'\npattern = '(?:a|aa)+b(?P<n>[0-9]+)'\n[sensor.fields]\nn = {}\n"
_MAX_MB = 110.0
_WELL_S = 40.0
_STARTED_S = 40.0


class Unwell(Exception):
    """The agent is not as it must be; the text says what is wrong."""


class FedAgent(AgentUnderTest):
    """One gateway, its broker, its maintainer, and its ports (pty pairs). ``async with`` it, then :meth:`look`.

    ``module``: what is run in place of the agent. ``starts``: how often it was started.
    """

    def __init__(self, folder: Path, seed: int, module: str, environ: Mapping[str, str] | None) -> None:
        super().__init__(folder, seed, module, environ)
        self.maintainer = Maintainer(folder / "keys")
        (folder / "trust.json").write_bytes(self.maintainer.trust())
        self.broker = ScriptedBroker(versions=(self.dice.choice((4, 5)),))
        self.starts = 1
        self._count = 0

    async def _begin(self) -> None:
        await self._stack.enter_async_context(self.broker)
        self.ptys = [os.openpty() for _ in range(3)]
        for master, slave in self.ptys:
            self._stack.callback(os.close, master)
            self._stack.callback(os.close, slave)
            tty.setraw(slave)
            os.set_blocking(master, False)
        ports = [os.ttyname(slave) for _, slave in self.ptys]
        sensors = [
            sensor("load", "system", more="interval_s = 0.2"),
            sensor("air-1", "sds011", ports[0], "max_rows_per_s = 1"),
            sensor("bus-1", "nmea0183", ports[1]),
            sensor("lines-1", "serial_line", ports[2], _LINES),
        ]
        text = configuration(self.broker.url, sensors, "max_delay_s = 0.2", commit_s=0.2)
        self.agent = AgentProcess(self.folder, text, environ=self._environ, module=self._module)
        self._stack.push_async_callback(self.agent.kill)
        await self.agent.start()
        await until(lambda: self.session() is not None and "streams" in self.broker.sessions[-1].leaves(), _STARTED_S)

    def session(self) -> Session | None:
        """The newest session that lasts."""
        living = [one for one in self.broker.sessions if not one.ended]
        return living[-1] if living else None

    async def look(self) -> None:
        """The same process runs, answers, measures, and is small and idle. Raises :class:`Unwell`."""
        end_s = time.monotonic() + _WELL_S
        while not await self._answers():
            if not self.agent.running():
                raise Unwell(f"the agent has ended: {self.agent.lines[-3:]}")
            if time.monotonic() > end_s:
                raise Unwell("it does not answer, or measures nothing")
        if "Traceback" in "".join(self.agent.lines):
            raise Unwell("a traceback")
        if self.agent.peak_mb() > _MAX_MB:
            raise Unwell(f"{self.agent.peak_mb():.0f} MB")
        used_s, began_s = cpu_s(self.agent.pid), time.monotonic()
        await asyncio.sleep(0.3)
        share = (cpu_s(self.agent.pid) - used_s) / (time.monotonic() - began_s)
        if share > 0.6 and not await self._calms_down():
            raise Unwell(f"{share:.0%} of a core with nothing to do")
        if self._flooded():
            raise Unwell("a sensor stores without bound")

    async def _calms_down(self) -> bool:
        for _ in range(20):
            used_s = cpu_s(self.agent.pid)
            await asyncio.sleep(0.25)
            if cpu_s(self.agent.pid) - used_s < 0.1:
                return True
        return False

    def _flooded(self) -> bool:
        """Whether air-1 has stored more than its budget: 1 a second, and 600 at once after each change or start."""
        rows = sum(len(batch.rows) for batch in self.broker.batches("telemetry/air-1"))
        # A report is published again in each session; only a new one may have started the sensor again.
        changes = len({one.payload for one in self.broker.published() if one.leaf == "config/reported"})
        return rows > 800 * (self.starts + changes)

    async def _answers(self) -> bool:
        """Ask for a sign of life and for a measurement, in the session that there is."""
        session = self.session()
        if session is None:
            await asyncio.sleep(0.1)
            return False
        self._count += 1
        ids = f"well-{self._count}", f"read-{self._count}"
        for name, identity, more in (("ping", ids[0], {}), ("read", ids[1], {"sensor": "load"})):
            asked = {"id": identity, "exp": soon_ms(), **more}
            session.publish(f"{BASE}/command/{name}".encode(), json.dumps(asked).encode())
        for _ in range(20):
            await asyncio.sleep(0.05)
            done = {one.leaf for one in session.published[-200:] if b'"status":"done"' in one.payload}
            if {f"reply/{one}" for one in ids} <= done:
                return True
        return False


def soon_ms() -> int:
    """A minute from now, Unix ms: when a command expires."""
    return round(1000 * time.time()) + 60_000


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
