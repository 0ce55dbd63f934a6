"""A serial port: opened and opened again, frames ended by pauses, questions on time."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.sensing.sensor_errors import PortLost
from drivers.sdk.contract import Field, LineSettings, SerialDriver
from tests.agent.sensing.fakes import FakeLink, FakeTime, Words
from tests.agent.sensing.sources.bench import Bench


class Ports:
    """Opens :class:`FakeLink`; a name in ``absent`` is not there."""

    def __init__(self, time: FakeTime) -> None:
        self.links: list[FakeLink] = []
        self.absent: set[str] = set()
        self.reply: Any = lambda request: b""
        self._time = time

    def open_port(self, name: str, line: LineSettings) -> FakeLink:
        if name in self.absent:
            raise PortLost(f"port {name} is not there")
        self.links.append(FakeLink(self._time, line))
        self.links[-1].reply = self.reply
        return self.links[-1]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench.over(Ports) as bench:
        yield bench


def words(**more: Any) -> SerialDriver:
    settings: dict[str, Any] = {
        "name": "words",
        "title": "",
        "source": "",
        "fields": {"x": Field("Cel")},
        "period_s": 1.0,
        "decoder": lambda options: Words(),
        "inline": True,
    }
    return SerialDriver(**{**settings, **more})


async def start(bench: Bench, driver: SerialDriver | None = None, **settings: Any) -> FakeLink:
    """The first open port of a sensor on ``/dev/a``."""
    bench.runner = await bench.start(driver or words(), port="/dev/a", **settings)  # type: ignore[attr-defined]
    link: FakeLink = bench.ports.links[0]
    return link


async def say(bench: Bench, link: FakeLink, *chunks: bytes) -> None:
    for chunk in chunks:
        link.say(chunk)
    await bench.time.settle()


async def test_frames_are_read_as_they_come_and_stamped_with_their_chunk(bench: Bench) -> None:
    link = await start(bench)
    await say(bench, link, b"1 2 ")
    await bench.time.advance(0.1)
    await say(bench, link, b"3 ")
    assert bench.fakes.values() == [1, 2, 3]
    times = [reading.stamp.mono_ms for reading in bench.fakes.store.appended]
    assert (times[1] - times[0], times[2] - times[1]) == (0, 100)


async def test_a_chunk_keeps_its_time_while_the_store_has_no_room(bench: Bench) -> None:
    link = await start(bench)
    bench.fakes.store.has_room.clear()
    came = bench.time.stamp()
    await say(bench, link, b"1 ", b"2 ")
    await bench.time.advance(5.0)
    assert bench.fakes.values() == []
    assert link._chunks, "what is more stays with the kernel"
    bench.fakes.store.has_room.set()
    await bench.time.settle()
    assert bench.fakes.values() == [1, 2]
    assert bench.fakes.store.appended[0].stamp == came


async def test_an_interval_thins_out_a_device_that_streams(bench: Bench) -> None:
    link = await start(bench, interval_s=3600.0)
    await say(bench, link, b"1 2 3 ")
    assert bench.fakes.values() == [1]


async def test_an_unplugged_port_is_closed_and_opened_again(bench: Bench) -> None:
    link = await start(bench)
    await say(bench, link, b"1 ")
    bench.ports.absent.add("/dev/a")
    link.unplug()
    await bench.time.advance(1.0)
    assert link.closed
    bench.ports.absent.clear()
    await bench.time.advance(5.0)
    await say(bench, bench.ports.links[1], b"2 ")
    assert bench.fakes.values() == [1, 2]
    assert [name for name, _ in bench.fakes.events()] == ["sensor_lost", "sensor_recovered"]


async def test_a_silent_device_is_lost_once_and_its_port_opened_again_every_half_minute(bench: Bench) -> None:
    link = await start(bench)
    await say(bench, link, b"1 ")
    await bench.time.advance(2.9)
    assert bench.fakes.events() == []
    await bench.time.advance(0.4)
    assert bench.fakes.events() == [("sensor_lost", "timeout")]
    await bench.time.advance(60.0)
    assert len(bench.ports.links) == 3
    await bench.time.advance(60.0)
    assert len(bench.ports.links) == 4
    await say(bench, bench.ports.links[-1], b"2 ")
    assert [name for name, _ in bench.fakes.events()] == ["sensor_lost", "sensor_recovered"]


async def test_garbage_without_a_pause_is_a_loss_too(bench: Bench) -> None:
    link = await start(bench)
    for _ in range(35):
        await say(bench, link, b"? ? ")
        await bench.time.advance(0.1)
    assert bench.fakes.events() == [("sensor_lost", "checksum")]
    assert bench.runner.status().rejected == 70  # type: ignore[attr-defined]


async def test_bytes_without_a_frame_are_told_from_silence(bench: Bench) -> None:
    link = await start(bench)
    for _ in range(35):
        await say(bench, link, b". ")
        await bench.time.advance(0.1)
    assert bench.fakes.events() == [("sensor_lost", "no_frame")]


async def test_a_pause_ends_a_frame_once(bench: Bench) -> None:
    decoder = Words()
    link = await start(bench, words(decoder=lambda options: decoder))
    await say(bench, link, b"12")
    await bench.time.advance(0.24)
    assert decoder.finished == 0
    await bench.time.advance(0.02)
    assert decoder.finished == 1
    await bench.time.advance(2.0)
    assert decoder.finished == 1
    await say(bench, link, b"3 ")
    assert bench.fakes.values() == [3]


async def test_a_device_that_is_asked_answers_on_time(bench: Bench) -> None:
    bench.ports.reply = lambda request: b"7 " if request == b"ask" else b""
    link = await start(bench, words(request=b"ask", setup=(b"hello", b"there"), timeout_s=0.5), interval_s=10.0)
    assert link.written == [b"hello", b"there", b"ask"]
    await bench.time.advance(30.0)
    assert link.written[2:] == [b"ask"] * 4
    assert bench.fakes.values() == [7, 7, 7, 7]


async def test_without_an_interval_it_is_asked_as_often_as_its_driver_says(bench: Bench) -> None:
    link = await start(bench, words(request=b"ask", period_s=2.0))
    await bench.time.advance(6.0)
    assert len(link.written) == 4


async def test_an_answer_may_come_in_parts_and_after_a_bad_frame(bench: Bench) -> None:
    link = await start(bench, words(request=b"ask", timeout_s=0.5), interval_s=10.0)
    for chunk in (b"? ", b"1", b"2 "):
        await say(bench, link, chunk)
        await bench.time.advance(0.1)
    assert bench.fakes.values() == [12]


async def test_a_question_that_is_not_answered_is_over_after_its_time_and_three_are_a_loss(bench: Bench) -> None:
    link = await start(bench, words(request=b"ask", timeout_s=0.5), interval_s=10.0)
    await bench.time.advance(29.0)
    assert (len(link.written), bench.fakes.events()) == (3, [])
    await bench.time.advance(2.0)
    assert bench.fakes.events() == [("sensor_lost", "timeout")]
    link.reply = lambda request: b"8 "
    await bench.time.advance(10.0)
    assert bench.fakes.values() == [8]
    assert len(bench.ports.links) == 1, "asking goes on over the same port"


async def test_somebody_who_asks_does_not_wait_for_the_interval(bench: Bench) -> None:
    bench.ports.reply = lambda request: b"7 "
    await start(bench, words(request=b"ask"), interval_s=3600.0)
    await bench.time.advance(10.0)
    asked = bench.go(bench.runner.measure())  # type: ignore[attr-defined]
    await bench.time.settle()
    assert asked.result() == {"x": 7, "q": {}}


async def test_the_configuration_s_line_settings_beat_the_driver_s(bench: Bench) -> None:
    link = await start(bench, words(line=LineSettings(2400, "E", 1, 7)), baud=9600, parity="N", stop_bits=2)
    assert link.line == LineSettings(9600, "N", 2, 7)


async def test_the_driver_s_line_settings_are_used_otherwise(bench: Bench) -> None:
    link = await start(bench, words(line=LineSettings(2400, "E", 2, 7)))
    assert link.line == LineSettings(2400, "E", 2, 7)


async def test_a_device_that_speaks_only_when_something_happens_has_proven_itself_by_its_port(bench: Bench) -> None:
    bench.ports.absent.add("/dev/a")
    runner = await bench.start(words(period_s=0.0), port="/dev/a")
    assert not runner.proven
    bench.ports.absent.clear()
    await bench.time.advance(1.0)
    assert runner.proven


async def test_a_decoder_that_hangs_costs_its_sensor_the_port(bench: Bench) -> None:
    link = await start(bench, words(inline=False))
    await say(bench, link, b"z ")
    await bench.time.advance(5.0)
    assert bench.fakes.events() == [("sensor_lost", "driver")]
    assert link.closed


async def test_a_stop_closes_the_port(bench: Bench) -> None:
    link = await start(bench)
    await bench.stop()
    assert link.closed


async def test_a_decoder_hears_how_long_ago_the_port_was_opened(bench: Bench) -> None:
    decoder = Words()
    link = await start(bench, words(decoder=lambda options: decoder))
    await bench.time.advance(1.5)
    await say(bench, link, b"1 ")
    assert decoder.times_s == [1.5]
