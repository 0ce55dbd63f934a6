"""A sensor's readings within its budget."""

import logging

import pytest

from agent.config.settings import Sensor
from agent.sensing.writer import ReadingWriter
from drivers.sdk.contract import Measurement
from tests.agent.sensing.fakes import FakeContext

ONE = Measurement({"x": 1})


def flooded(fakes: FakeContext, count: int) -> ReadingWriter:
    """A sensor that may give one reading a second (600 at once), after so many at once."""
    writer = ReadingWriter(Sensor(id="a", driver="words", max_rows_per_s=1.0), fakes.context)
    for _ in range(count):
        writer.write(ONE, fakes.time.stamp())
    return writer


async def test_what_is_over_the_budget_is_dropped_counted_and_reported_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fakes = FakeContext()
    writer = flooded(fakes, 605)
    assert len(fakes.rows()) == 600
    assert fakes.events() == []
    assert caplog.text.count("a sends more than 1 readings per second") == 1
    await fakes.time.advance(60.0)
    writer.write(ONE, fakes.time.stamp())
    assert len(fakes.rows()) == 601
    (event,) = fakes.store.announced
    assert (event["ev"], event["stream"], event["n"], event["why"]) == ("rows_lost", "telemetry/a", 5, "overflow")


async def test_a_flood_that_goes_on_is_reported_while_nothing_of_it_is_stored() -> None:
    fakes = FakeContext()
    writer = ReadingWriter(Sensor(id="a", driver="words", max_rows_per_s=0.01), fakes.context)
    for seconds in (0.0, 59.0, 1.0):
        await fakes.time.advance(seconds)
        for _ in range(7):
            writer.write(ONE, fakes.time.stamp())
    assert len(fakes.rows()) == 6
    assert [event["n"] for event in fakes.store.announced] == [1 + 7 + 1]


async def test_what_was_dropped_is_reported_at_the_end() -> None:
    fakes = FakeContext()
    writer = flooded(fakes, 603)
    writer.write(Measurement({"x": 1}, event="on"), fakes.time.stamp())
    writer.close()
    assert [(event["stream"], event["n"]) for event in fakes.store.announced] == [("telemetry/a", 3), ("event/a", 1)]
    writer.close()
    assert len(fakes.store.announced) == 2


async def test_a_sensor_over_its_budget_is_read_slowly() -> None:
    fakes = FakeContext()
    writer = flooded(fakes, 601)
    waiting = writer.wait_for_room()
    waiting.send(None)
    assert fakes.time.slept == [0.25]
    waiting.close()


async def test_within_the_budget_nothing_waits() -> None:
    fakes = FakeContext()
    await flooded(fakes, 600).wait_for_room()
    assert fakes.time.slept == []


async def test_only_so_many_events_are_urgent() -> None:
    fakes = FakeContext()
    writer = ReadingWriter(Sensor(id="a", driver="words"), fakes.context)
    for _ in range(60):
        writer.write(Measurement({"x": 1}, event="on"), fakes.time.stamp())
    assert [one.urgent for one in fakes.store.appended] == [True] * 50 + [False] * 10


@pytest.mark.parametrize(("sampled", "stream"), [(True, "telemetry/a"), (False, "event/a")])
async def test_lost_edges_are_reported_for_the_stream_they_are_missing_in(
    caplog: pytest.LogCaptureFixture, sampled: bool, stream: str
) -> None:
    caplog.set_level(logging.DEBUG)
    fakes = FakeContext()
    ReadingWriter(Sensor(id="a", driver="words"), fakes.context).report_lost_edges(7, sampled=sampled)
    (event,) = fakes.store.announced
    assert (event["stream"], event["n"], event["why"], event["ep"]) == (stream, 7, "edges", fakes.store.epoch)
