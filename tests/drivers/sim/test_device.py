import asyncio
import os
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.config.io.catalog import Catalog
from drivers.sdk.contract import Item, Measurement, SerialDriver
from drivers.sdk.profiles.profile import load_profile
from drivers.sim.device import SimulatedDevice
from drivers.sim.feeder import Feeder
from drivers.sim.models import Values, model, waving
from drivers.sim.pty_port import PtyPort

PROFILES = Path(__file__).parents[3] / "drivers" / "profiles"
SPEEDS = {9600: termios.B9600, 19200: termios.B19200, 115200: termios.B115200}
PERIOD_S = 0.002


class Side:
    """The agent's side of a line: what a serial link does, without the library."""

    def __init__(self, port: str, baud: int) -> None:
        self.fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        attributes = termios.tcgetattr(self.fd)
        attributes[4] = attributes[5] = SPEEDS[baud]
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)

    async def read(self) -> bytes:
        """Bytes once there are some; empty once the link is lost."""
        loop = asyncio.get_running_loop()
        readable = loop.create_future()
        loop.add_reader(self.fd, readable.set_result, None)
        try:
            readable.add_done_callback(lambda _: loop.remove_reader(self.fd))
            await asyncio.wait_for(readable, 5)
            return os.read(self.fd, 4096)
        except OSError:
            return b""

    async def items(self, name: str, enough: Callable[[list[Item]], bool]) -> list[Item]:
        decoder = load_profile((PROFILES / f"{name}.toml").read_bytes(), name).decoder({})
        found: list[Item] = []
        while not enough(found):
            found += decoder.feed(await self.read(), 1000.0)
        return found


@pytest.fixture
def connect() -> Iterator[Callable[[str, int], Side]]:
    sides: list[Side] = []

    def opened(port: str, baud: int = 9600) -> Side:
        sides.append(Side(port, baud))
        return sides[-1]

    yield opened
    for side in sides:
        os.close(side.fd)


def counting(number: int) -> Values:
    return {"distance": 100 + number}


async def test_a_streaming_device_sends_what_it_is_given_in_order(connect: Callable[..., Side]) -> None:
    async with SimulatedDevice(model("a02yyuw"), values=counting, period_s=PERIOD_S) as device:
        found = await connect(device.port).items("a02yyuw", lambda items: len(items) >= 5)

        assert found[:5] == [Measurement({"distance": 100 + number}) for number in range(5)]
        assert device.sent >= len(found)


async def test_nothing_is_sent_or_counted_while_nobody_listens(connect: Callable[..., Side]) -> None:
    async with SimulatedDevice(model("a02yyuw"), values=counting, period_s=PERIOD_S, keep_rate=False) as device:
        for _ in range(5):
            device.send()
        assert device.sent == 0

        assert (await connect(device.port).items("a02yyuw", bool))[0] == Measurement({"distance": 100})


CATALOG = Catalog(local=Path("no-such-directory"))
SERIAL = [
    name for name in CATALOG.names() if isinstance(driver := CATALOG.get(name), SerialDriver) and driver.table is None
] + ["ld2450"]


@pytest.mark.parametrize("name", SERIAL)
async def test_a_wrong_line_rate_gives_noise_and_no_measurement(name: str, connect: Callable[..., Side]) -> None:
    device_model = model(name)
    decoder = CATALOG.get(name).decoder({})
    async with SimulatedDevice(device_model, period_s=PERIOD_S) as device:
        side = connect(device.port, 19200 if device_model.line.baud != 19200 else 9600)
        heard, items = 0, []
        while heard < 200:
            if device_model.request:
                os.write(side.fd, device_model.request)
            chunk = await side.read()
            heard += len(chunk)
            items += decoder.feed(chunk, 0)

        assert not [item for item in items if isinstance(item, Measurement)]
        assert device.sent == 0


async def test_a_polled_device_speaks_only_when_asked(connect: Callable[..., Side]) -> None:
    device_model = model("mhz19")
    async with SimulatedDevice(device_model, values=lambda number: {"co2": 700 + number}) as device:
        side = connect(device.port)
        for number in range(3):
            os.write(side.fd, device_model.request[:4])
            os.write(side.fd, device_model.request[4:])
            found = await side.items("mhz19", bool)
            assert found == [Measurement({"co2": 700 + number})]

        assert device.sent == 3


async def test_what_was_written_to_a_device_can_be_looked_at(connect: Callable[..., Side]) -> None:
    async with SimulatedDevice(model("ops243"), period_s=PERIOD_S) as device:
        side = connect(device.port, 19200)
        os.write(side.fd, b"OJUKOM")
        await side.items("ops243", lambda items: len(items) >= 2)

        assert device.received == b"OJUKOM"


async def test_an_unplugged_device_is_lost_and_comes_back_under_its_name(
    tmp_path: Path, connect: Callable[..., Side]
) -> None:
    link = tmp_path / "usb-air"
    async with SimulatedDevice(model("a02yyuw"), period_s=PERIOD_S, link=link) as device:
        assert device.port == str(link)
        side = connect(device.port)
        await side.items("a02yyuw", bool)

        device.unplug()
        while await side.read():
            pass
        assert not link.is_symlink()

        device.replug()
        assert await connect(device.port).items("a02yyuw", bool)
    assert not link.is_symlink()


async def test_a_device_without_a_stable_name_has_none_while_unplugged() -> None:
    async with SimulatedDevice(model("a02yyuw")) as device:
        device.unplug()
        with pytest.raises(LookupError):
            _ = device.port


async def test_a_silent_device_keeps_its_port(connect: Callable[..., Side]) -> None:
    async with SimulatedDevice(model("a02yyuw"), period_s=PERIOD_S) as device:
        side = connect(device.port)
        await side.items("a02yyuw", bool)
        device.silence()
        sent = device.sent
        device.send()

        assert device.sent == sent
        device.silence(False)
        while await side.read() and device.sent == sent:
            pass


async def test_injected_bytes_arrive_as_they_are(connect: Callable[..., Side]) -> None:
    async with SimulatedDevice(model("mhz19")) as device:
        side = connect(device.port)
        device.inject(b"\x00garbage\xff")

        assert await side.read() == b"\x00garbage\xff"


async def test_a_reader_that_sleeps_makes_no_torn_frame(connect: Callable[..., Side]) -> None:
    async with SimulatedDevice(model("a02yyuw"), values=counting, period_s=PERIOD_S) as device:
        side = connect(device.port)
        before = -1
        while device.sent != before:
            before = device.sent
            for _ in range(5000):
                device.send()
        found = await side.items("a02yyuw", lambda items: len(items) >= before - 1)

        assert all(isinstance(item, Measurement) for item in found)


def test_a_feeder_sends_its_prepared_frames_round_and_counts_them(connect: Callable[..., Side]) -> None:
    device_model = model("sds011")
    ports = [PtyPort(), PtyPort()]
    sides = [connect(port.port) for port in ports]
    feeder = Feeder(device_model, ports, prepared=7)
    ring = b"".join(device_model.encode(waving(device_model.typical, every=7)(number)) for number in range(7))
    read = [b"", b""]
    for _ in range(7):
        feeder.feed(20)
        read = [so_far + os.read(side.fd, 4096) for so_far, side in zip(read, sides, strict=True)]

    assert feeder.sent == [140, 140]
    assert read == [ring * 20, ring * 20]
    for port in ports:
        port.close()


def test_a_feeder_tears_no_frame_of_a_reader_that_sleeps(connect: Callable[..., Side]) -> None:
    port = PtyPort()
    side = connect(port.port)
    feeder = Feeder(model("a02yyuw"), [port], prepared=5)
    for _ in range(20):
        feeder.feed(5000)
    read = b""
    while len(read) < feeder.sent[0] * 4:
        feeder.step()
        read += os.read(side.fd, 65536)
    port.close()

    decoder = load_profile((PROFILES / "a02yyuw.toml").read_bytes(), "").decoder({})
    assert len(decoder.feed(read, 0)) == feeder.sent[0] < 20 * 5000
    assert decoder.skipped == 0


def test_there_is_no_model_of_an_unknown_device() -> None:
    with pytest.raises(LookupError, match="no simulator for toaster"):
        model("toaster")
