"""What is read by a blocking call, in the sensor's own thread."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from drivers.sdk.contract import Field, PollDriver
from tests.agent.sensing.fakes import FakeContext, Hang, Words
from tests.agent.sensing.sources.bench import Bench


class Thermometer:
    """A reader: gives what the test put in, raises what it put in; the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.closed = 0

    def read(self) -> bytes:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return bytes(answer)

    def close(self) -> None:
        self.closed += 1


def thermometer(reader: Thermometer, **more: Any) -> PollDriver:
    settings: dict[str, Any] = {
        "name": "thermometer",
        "title": "",
        "source": "",
        "fields": {"x": Field("Cel")},
        "period_s": 60.0,
        "decoder": lambda options: Words(),
        "reader": lambda options: reader,
        "timeout_s": 2.0,
        "inline": True,
    }
    return PollDriver(**{**settings, **more})


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench(None, FakeContext())
    yield bench
    await bench.stop()


async def test_it_is_read_on_time_in_a_thread_though_its_decoder_may_run_on_the_loop(bench: Bench) -> None:
    reader = Thermometer(b"20 ", b"21 ", b"22 ")
    await bench.start(thermometer(reader), interval_s=10.0)
    await bench.time.advance(20.0)
    assert bench.fakes.values() == [20, 21, 22]
    (worker,) = bench.fakes.workers
    assert worker.calls == 1 + 3
    await bench.stop()
    assert (reader.closed, worker.closed) == (1, True)


async def test_without_an_interval_it_is_read_as_often_as_its_driver_says(bench: Bench) -> None:
    await bench.start(thermometer(Thermometer(b"20 ")))
    await bench.time.advance(120.0)
    assert len(bench.fakes.values()) == 3


async def test_a_device_that_does_not_answer_is_lost_and_recovered(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Thermometer(b"20 ", OSError(121, "Remote I/O error"), b"21 ")
    await bench.start(thermometer(reader), interval_s=10.0)
    await bench.time.advance(11.0)
    assert bench.fakes.values() == [20, 21]
    assert bench.fakes.events() == [("sensor_lost", "device"), ("sensor_recovered", None)]
    assert "a: the device does not answer: Remote I/O error" in caplog.text
    assert reader.closed == 1


async def test_one_whose_answers_say_nothing_is_lost(bench: Bench) -> None:
    await bench.start(thermometer(Thermometer(b"? ")), interval_s=10.0)
    await bench.time.advance(30.0)
    assert bench.fakes.events() == [("sensor_lost", "checksum")]


async def test_one_whose_answers_hold_nothing_is_lost_by_its_name(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.start(thermometer(Thermometer(b". ")), interval_s=10.0)
    await bench.time.advance(30.0)
    assert bench.fakes.events() == [("sensor_lost", "no_frame")]
    assert "data from thermometer contains no frame" in caplog.text


async def test_a_call_that_never_returns_is_a_fault_of_its_sensor_alone(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.start(thermometer(Thermometer(Hang())))
    await bench.time.advance(60.0)
    assert bench.tasks[0].done()
    assert bench.fakes.events() == [("sensor_lost", "driver")]
    assert "driver thermometer did not return within 2 s" in caplog.text


async def test_a_decoder_hears_how_long_ago_the_reader_was_opened(bench: Bench) -> None:
    decoder = Words()
    await bench.start(thermometer(Thermometer(b"20 "), decoder=lambda options: decoder), interval_s=10.0)
    await bench.time.advance(20.0)
    assert decoder.times_s == [0.0, 10.0, 20.0]


async def test_it_is_not_asked_while_the_store_has_no_room(bench: Bench) -> None:
    bench.fakes.store.has_room.clear()
    await bench.start(thermometer(Thermometer(b"20 ")), interval_s=10.0)
    await bench.time.advance(30.0)
    assert bench.fakes.workers[0].calls == 1
    bench.fakes.store.has_room.set()
    await bench.time.settle()
    assert len(bench.fakes.rows()) == 1
