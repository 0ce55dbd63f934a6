"""When the watchdog is fed, and what is said when it is not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from agent.app.watchdog import STORE_S, UPLINK_S, Watchdog
from tests.support.mosquitto import until

pytestmark = pytest.mark.virtual_time
PERIOD_S = 7.5


class Systemd:
    """Counts. Its patience gives a period of :data:`PERIOD_S`."""

    def __init__(self) -> None:
        self.watchdog_s = 4 * PERIOD_S
        self.fed = 0
        self.lines: list[str] = []

    def feed(self) -> None:
        self.fed += 1

    def status(self, line: str) -> None:
        self.lines.append(line)


class Agent:
    """Its parts make progress unless they are stalled."""

    def __init__(self) -> None:
        self.systemd = Systemd()
        self.stalled: set[str] = set()
        self.line = "well"
        self.error: Exception | None = None
        self._progress_s = 0.0

    async def probe(self) -> None:
        if self.error is not None:
            raise self.error
        if "store" in self.stalled:
            await until(lambda: "store" not in self.stalled, 1000.0)

    def uplink_progress_s(self) -> float:
        if "uplink" not in self.stalled:
            self._progress_s = asyncio.get_running_loop().time()
        return self._progress_s

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        watchdog = Watchdog(self.systemd, self.probe, self.uplink_progress_s, lambda: self.line)
        task = asyncio.create_task(watchdog.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_new_status_is_shown_within_two_seconds() -> None:
    agent = Agent()
    agent.systemd.watchdog_s = 400.0
    async with agent.watched():
        await asyncio.sleep(10.0)
        assert set(agent.systemd.lines) == {"well"}
        agent.line = "not connected"
        await asyncio.sleep(2.0)
        assert agent.systemd.lines[-1] == "not connected"


async def test_it_is_fed_while_everything_moves_and_the_status_is_told() -> None:
    agent = Agent()
    async with agent.watched():
        await asyncio.sleep(300.0)
    assert agent.systemd.fed == 300 / PERIOD_S
    assert set(agent.systemd.lines) == {"well"}


@pytest.mark.parametrize("part", ["store", "uplink"])
async def test_it_is_not_fed_while_a_part_stands_still_and_says_so_once(
    part: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    agent = Agent()
    limit_s = {"store": STORE_S, "uplink": UPLINK_S}[part]
    async with agent.watched():
        await asyncio.sleep(20.0)
        agent.stalled = {part}
        await asyncio.sleep(limit_s - PERIOD_S)
        assert "has made no progress" not in caplog.text
        await asyncio.sleep(3 * PERIOD_S)  # a probe is begun in one round, and its end seen in the next
        assert f"{part} has made no progress" in caplog.text
        before = agent.systemd.fed
        await asyncio.sleep(60.0)
        assert agent.systemd.fed == before
        assert caplog.text.count("has made no progress") == 1
        agent.stalled = set()
        await asyncio.sleep(2 * PERIOD_S)
        assert agent.systemd.fed > before
    # Where every thread stands.
    assert "most recent call first" in capfd.readouterr().err
    assert "test_watchdog.py" not in caplog.text


async def test_a_store_whose_thread_is_stuck_for_good_is_not_moving() -> None:
    agent = Agent()
    agent.error = RuntimeError("stuck")
    async with agent.watched():
        await asyncio.sleep(STORE_S + 10.0)
        before = agent.systemd.fed
        await asyncio.sleep(30.0)
        assert agent.systemd.fed == before
