"""A bus whose calls block: one thread, its users in turn, left alone when it hangs again and again."""

import asyncio

import pytest

from agent.sensing.sensor_errors import PortLost
from agent.sensing.sources.blocking_bus import BlockingBus
from tests.agent.sensing.fakes import FakeTime, FakeWorker, Hang


class Port:
    closed = False

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self) -> None:
        self.time = FakeTime()
        self.ports: list[Port] = []
        self.workers: list[FakeWorker] = []
        self.absent = False
        self.bus = BlockingBus("I2C 1", self._open, self._worker)

    def _open(self) -> Port:
        if self.absent:
            raise PortLost("I2C bus 1 is not there")
        self.ports.append(Port())
        return self.ports[-1]

    def _worker(self, name: str) -> FakeWorker:
        self.workers.append(FakeWorker(self.time, name))
        return self.workers[-1]

    def start_hanging(self, timeout_s: float) -> "asyncio.Future[None]":
        """A call that never returns."""

        def hang(port: Port) -> None:
            raise Hang

        return asyncio.ensure_future(self.bus.call(hang, timeout_s))


async def test_it_is_opened_once_for_all_calls() -> None:
    bench = Bench()
    assert [await bench.bus.call(lambda port: port, 1.0) for _ in range(2)] == [bench.ports[0]] * 2
    assert [worker.name for worker in bench.workers] == ["I2C 1"]


async def test_what_a_call_raises_reaches_the_caller_and_leaves_the_bus_open() -> None:
    bench = Bench()

    def fail(port: Port) -> None:
        raise OSError(121, "Remote I/O error")

    with pytest.raises(OSError, match="Remote"):
        await bench.bus.call(fail, 1.0)
    assert await bench.bus.call(lambda port: port, 1.0) is bench.ports[0]


async def test_a_bus_that_is_not_there_is_tried_again() -> None:
    bench = Bench()
    bench.absent = True
    with pytest.raises(PortLost, match="not there"):
        await bench.bus.call(lambda port: port, 1.0)
    bench.absent = False
    assert await bench.bus.call(lambda port: port, 1.0) is bench.ports[0]


async def test_a_bus_that_hangs_is_opened_again_and_at_last_left_alone() -> None:
    bench = Bench()
    for count in (1, 2, 3):
        hanging = bench.start_hanging(2.0)
        await bench.time.advance(2.0)
        with pytest.raises(PortLost, match="I2C 1 did not respond within 2 s"):
            await hanging
        assert (len(bench.ports), len(bench.workers)) == (count, count)
    with pytest.raises(PortLost, match="I2C 1 hangs: restart the agent"):
        await bench.bus.call(lambda port: port, 1.0)
    assert len(bench.workers) == 3


async def test_the_time_of_a_call_counts_from_its_turn() -> None:
    bench = Bench()
    calls = [bench.start_hanging(2.0), bench.start_hanging(0.5)]
    await bench.time.advance(2.0)
    assert [call.done() for call in calls] == [True, False]
    await bench.time.advance(0.5)
    assert calls[1].done()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_closing_closes_the_port_in_its_thread() -> None:
    bench = Bench()
    await bench.bus.call(lambda port: port, 1.0)
    bench.bus.close()
    bench.bus.close()
    assert (bench.ports[0].closed, bench.workers[0].closed) == (True, True)
