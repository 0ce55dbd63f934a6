"""Modbus units: asked in turn, through noise, and a silent one costs the others little."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from agent.config.settings import Bus
from agent.sensing.sources.shared_port import SharedPort
from drivers.sdk.bus import ModbusDriver, ModbusRead
from drivers.sdk.contract import Field, LineSettings, Value
from drivers.sdk.modbus import AnswerDecoder, Block, answer, request
from tests.agent.sensing.fakes import FakeLink, FakeTime, Hang
from tests.agent.sensing.sources.bench import Bench

READS = (ModbusRead(4, 0, 1), ModbusRead(4, 16, 1))
ASK = {unit: [request(unit, read) for read in READS] for unit in (1, 2)}


def number(name: str) -> Callable[[bytes], dict[str, Value]]:
    return lambda content: {name: int.from_bytes(content, "big")}


def meter(**more: Any) -> ModbusDriver:
    blocks = [Block(read, (name,), number(name)) for read, name in zip(READS, "xy", strict=True)]
    settings: dict[str, Any] = {
        "name": "meter",
        "title": "",
        "source": "",
        "fields": {"x": Field("V"), "y": Field("A")},
        "period_s": 1.0,
        "decoder": lambda options: AnswerDecoder(blocks),
        "reads": READS,
        "timeout_s": 0.5,
        "inline": True,
    }
    return ModbusDriver(**{**settings, **more})


class Line:
    """One port, with what answers on it: ``answers`` gives the bytes for a request."""

    def __init__(self, time: FakeTime) -> None:
        self.link = FakeLink(time)
        self.opened: list[tuple[str, LineSettings | None]] = []
        self.buses = {"rs485-0": Bus("rs485-0", "/dev/rs485", 19200, "E", 2)}
        self._shared = SharedPort(self._open)

    async def _open(self) -> FakeLink:
        return self.link

    def shared_port(self, name: str, line: LineSettings) -> SharedPort:
        self.opened.append((name, line))
        return self._shared

    def shared_tcp(self, name: str) -> SharedPort:
        self.opened.append((name, None))
        return self._shared


def answering(*units: int, before: bytes = b"", after: bytes = b"") -> Callable[[bytes], bytes]:
    """These units answer: ``x`` is 10 times the unit, ``y`` 20 times."""

    def reply(asked: bytes) -> bytes:
        unit = asked[0]
        if unit not in units:
            return b""
        index = ASK[unit].index(asked)
        return before + answer(unit, READS[index], (10 * unit * (index + 1)).to_bytes(2, "big")) + after

    return reply


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench.over(Line) as bench:
        yield bench


async def test_every_block_is_asked_for_and_gives_one_reading(bench: Bench) -> None:
    bench.ports.link.reply = answering(1)
    await bench.start(meter(), port="/dev/a", interval_s=10.0)
    await bench.time.advance(20.0)
    assert bench.fakes.rows() == [{"x": 10, "y": 20}] * 3
    assert bench.ports.link.written == ASK[1] * 3


async def test_a_unit_is_asked_by_its_number_on_its_bus(bench: Bench) -> None:
    bench.ports.link.reply = answering(1, 2)
    await bench.start(meter(), bus="rs485-0", unit=2)
    await bench.start(meter(), id="b", bus="rs485-0")
    assert (bench.fakes.rows(), bench.fakes.rows("telemetry/b")) == ([{"x": 20, "y": 40}], [{"x": 10, "y": 20}])
    assert bench.ports.opened == [("/dev/rs485", LineSettings(19200, "E", 2, 8))] * 2


async def test_a_port_of_its_own_has_the_driver_s_line_settings(bench: Bench) -> None:
    await bench.start(meter(line=LineSettings(2400, "E", 1, 8)), port="/dev/a", baud=4800)
    assert bench.ports.opened == [("/dev/a", LineSettings(4800, "E", 1, 8))]


async def test_over_the_network_it_is_a_server(bench: Bench) -> None:
    await bench.start(meter(tcp=True), port="10.0.0.7:502")
    assert bench.ports.opened == [("10.0.0.7:502", None)]


async def test_an_answer_with_noise_around_it_is_read(bench: Bench) -> None:
    bench.ports.link.reply = answering(1, before=b"\x00\xff\x01\x04", after=b"\x00")
    await bench.start(meter(), port="/dev/a")
    await bench.time.advance(2.0)
    assert bench.fakes.rows() == [{"x": 10, "y": 20}] * 3


async def test_an_answer_may_come_in_parts(bench: Bench) -> None:
    await bench.start(meter(), port="/dev/a", interval_s=10.0)
    for part in range(2):
        whole = answering(1)(ASK[1][part])
        for at in range(len(whole)):
            bench.ports.link.say(whole[at : at + 1])
            await bench.time.advance(0.01)
    assert bench.fakes.rows() == [{"x": 10, "y": 20}]


async def test_what_came_before_the_question_is_no_answer_to_it(bench: Bench) -> None:
    bench.ports.link.say(answer(1, READS[0], b"\x63\x63"))
    bench.ports.link.reply = answering(1)
    await bench.start(meter(), port="/dev/a")
    assert bench.fakes.rows() == [{"x": 10, "y": 20}]


async def test_a_block_that_is_not_answered_is_bad_and_the_round_ends(bench: Bench) -> None:
    bench.ports.link.reply = lambda asked: answering(1)(asked) if asked == ASK[1][0] else b""
    await bench.start(meter(), port="/dev/a", interval_s=10.0)
    await bench.time.advance(0.6)
    assert bench.fakes.rows() == [{"x": 10, "y": None, "q": {"y": "bad:timeout"}}]


async def test_a_silent_unit_is_lost_alone_and_costs_the_others_a_tenth_of_the_line(bench: Bench) -> None:
    bench.ports.link.reply = answering(1)
    await bench.start(meter(), bus="rs485-0", unit=1)
    await bench.start(meter(), id="dead", bus="rs485-0", unit=2)
    await bench.time.advance(100.0)
    assert [(row["ev"], row["sensor"], row["why"]) for row in bench.fakes.store.announced] == [
        ("sensor_lost", "dead", "timeout"),
    ]
    asked = Counter(raw[0] for raw in bench.ports.link.written)
    assert asked[2] == 1 + 100 // 5.5, "10 times its timeout passes between two questions"
    assert len(bench.fakes.rows()) >= 98
    bench.ports.link.reply = answering(1, 2)
    await bench.time.advance(6.0)
    assert bench.fakes.rows("telemetry/dead")


async def test_a_device_has_the_silence_that_it_wants_before_a_question(bench: Bench) -> None:
    bench.ports.link.reply = answering(1)
    await bench.start(meter(request_gap_s=0.05), port="/dev/a")
    assert bench.ports.link.written == []
    await bench.time.advance(0.1)
    assert bench.ports.link.written == ASK[1]


async def test_bytes_that_are_no_answer_are_told_from_silence(bench: Bench) -> None:
    bench.ports.link.reply = lambda asked: b"\x55" * 7
    await bench.start(meter(), port="/dev/a")
    await bench.time.advance(6.0)
    assert bench.fakes.events() == [("sensor_lost", "no_frame")]


async def test_the_line_is_free_while_an_answer_is_decoded(bench: Bench) -> None:
    class Stuck(AnswerDecoder):
        def feed(self, chunk: bytes, at_s: float) -> Any:
            raise Hang

    bench.ports.link.reply = answering(1, 2)
    foreign = meter(inline=False, decoder=lambda options: Stuck([]))
    await bench.start(foreign, id="foreign", bus="rs485-0", unit=2)
    await bench.start(meter(), bus="rs485-0", unit=1)
    await bench.time.advance(4.0)
    assert len(bench.fakes.rows()) == 5


async def test_an_unplugged_line_is_lost_and_opened_again(bench: Bench) -> None:
    bench.ports.link.reply = answering(1)
    await bench.start(meter(), port="/dev/a")
    bench.ports.link.unplug()
    await bench.time.advance(1.5)
    assert bench.fakes.events() == [("sensor_lost", "port")]
    assert bench.ports.link.closed
    bench.ports.link = FakeLink(bench.time)
    bench.ports.link.reply = answering(1)
    await bench.time.advance(5.0)
    assert bench.fakes.events()[-1] == ("sensor_recovered", None)


async def test_a_decoder_hears_how_long_ago_asking_began(bench: Bench) -> None:
    times_s: list[float] = []

    class Timed(AnswerDecoder):
        def feed(self, chunk: bytes, at_s: float) -> Any:
            times_s.append(at_s)
            return super().feed(chunk, at_s)

    block = Block(READS[0], ("x",), number("x"))
    bench.ports.link.reply = answering(1)
    timed = meter(reads=READS[:1], decoder=lambda options: Timed([block]))
    await bench.start(timed, port="/dev/a", interval_s=10.0)
    await bench.time.advance(20.0)
    assert times_s == [0.0, 10.0, 20.0]


async def test_it_is_not_asked_while_the_store_has_no_room(bench: Bench) -> None:
    bench.fakes.store.has_room.clear()
    bench.ports.link.reply = answering(1)
    await bench.start(meter(), port="/dev/a", interval_s=10.0)
    await bench.time.advance(30.0)
    assert bench.ports.link.written == []
    bench.fakes.store.has_room.set()
    await bench.time.settle()
    assert len(bench.fakes.rows()) == 1


async def test_what_was_answered_before_a_silent_block_is_kept(bench: Bench) -> None:
    reads = (*READS, ModbusRead(4, 32, 1))
    blocks = [Block(read, (name,), number(name)) for read, name in zip(reads, "xyz", strict=True)]
    bench.ports.link.reply = lambda asked: answering(1)(asked) if asked == ASK[1][0] else b""
    driver = meter(reads=reads, decoder=lambda options: AnswerDecoder(blocks))
    await bench.start(driver, port="/dev/a", interval_s=10.0)
    await bench.time.advance(0.6)
    assert bench.fakes.rows() == [{"x": 10, "y": None, "q": {"y": "bad:timeout"}}]
    assert len(bench.ports.link.written) == 2, "a silent unit is not asked for the next block"
