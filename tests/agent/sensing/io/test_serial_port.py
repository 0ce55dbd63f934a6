"""A serial port on a real pty."""

import asyncio
import os
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sensing.io.serial_port import SerialLink
from agent.sensing.sensor_errors import PortLost
from drivers.sdk.contract import LineSettings


class Pty:
    def __init__(self) -> None:
        self.master, slave = os.openpty()
        self.name = os.ttyname(slave)
        os.close(slave)

    def close(self) -> None:
        if self.master >= 0:
            os.close(self.master)
        self.master = -1


@pytest.fixture
def pty() -> Iterator[Pty]:
    pty = Pty()
    yield pty
    pty.close()


async def test_bytes_come_and_go(pty: Pty) -> None:
    link = SerialLink.open(pty.name, LineSettings())
    os.write(pty.master, b"\xaa\xc0\r\n\x03\x1a")
    assert await link.read(1.0) == b"\xaa\xc0\r\n\x03\x1a", "a raw line: nothing is echoed, swallowed or translated"
    await link.write(b"\xff\x01\n\r\x13")
    assert os.read(pty.master, 99) == b"\xff\x01\n\r\x13"
    link.close()
    link.close()


async def test_what_was_said_before_opening_is_not_thrown_away(pty: Pty) -> None:
    first = SerialLink.open(pty.name, LineSettings())
    os.write(pty.master, b"early")
    first.close()
    keeper = os.open(pty.name, os.O_RDWR | os.O_NOCTTY)
    os.write(pty.master, b"bird")
    link = SerialLink.open(pty.name, LineSettings())
    heard = b""
    while b"bird" not in heard:
        heard += await link.read(1.0)
    link.close()
    os.close(keeper)


async def test_an_idle_port_gives_nothing_after_its_time(pty: Pty) -> None:
    link = SerialLink.open(pty.name, LineSettings())
    began_s = time.monotonic()
    assert await link.read(0.05) == b""
    assert 0.04 < time.monotonic() - began_s < 1.0
    link.close()


async def test_an_unplugged_port_is_lost_and_does_not_spin(pty: Pty) -> None:
    link = SerialLink.open(pty.name, LineSettings())
    asyncio.get_running_loop().call_later(0.05, pty.close)
    with pytest.raises(PortLost, match="unplugged"):
        await link.read(5.0)
    with pytest.raises(PortLost):
        await link.write(b"x")
    link.close()


async def test_a_port_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PortLost, match="does not exist: check that the device is plugged in") as caught:
        SerialLink.open(str(tmp_path / "ttyUSB7"), LineSettings())
    assert "\n" not in str(caught.value)


async def test_a_file_that_is_no_port_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PortLost, match="cannot use port"):
        SerialLink.open(str(tmp_path / "file"), LineSettings())


async def test_a_port_in_use_is_told(pty: Pty) -> None:
    link = SerialLink.open(pty.name, LineSettings())
    with pytest.raises(PortLost, match="in use by another program"):
        SerialLink.open(pty.name, LineSettings())
    link.close()


async def test_the_line_is_set_and_a_pty_may_be_opened_again_with_parity(pty: Pty) -> None:
    for _ in range(3):
        link = SerialLink.open(pty.name, LineSettings(2400, "E", 1, 7))
        assert termios.tcgetattr(pty.master)[5] == termios.B2400
        os.write(pty.master, b"x")
        assert await link.read(1.0) == b"x"
        link.close()


async def test_a_flooding_device_is_read_at_most_a_hundred_times_a_second(pty: Pty) -> None:
    link = SerialLink.open(pty.name, LineSettings())
    os.set_blocking(pty.master, False)
    loop = asyncio.get_running_loop()

    def flood() -> None:
        try:
            while True:
                os.write(pty.master, b"x" * 1024)
        except BlockingIOError:
            loop.call_later(0.001, flood)

    flood()
    end_s, reads, longest = loop.time() + 0.5, 0, 0
    while loop.time() < end_s:
        reads += 1
        longest = max(longest, len(await link.read(1.0)))
    assert reads <= 55
    assert longest <= 65_536
    link.close()
    pty.close()
    await asyncio.sleep(0.01)
