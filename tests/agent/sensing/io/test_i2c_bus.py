"""I2C calls, as smbus2 makes them: its own messages, on a bus in memory."""

import errno
from typing import Any

import pytest
from smbus2 import i2c_msg

from agent.sensing.io.i2c_bus import I2cPort
from agent.sensing.sensor_errors import PortLost

DEVICE, ABSENT = 0x76, 0x77
PLAIN, ONLY_SMBUS = 0x1 | 0x0EFF0008, 0x0EFF0008
"""What the kernel says of an adapter: I2C_FUNC_I2C, or only the emulated SMBus calls."""
I2C_M_RD = 1


class Registers:
    """An adapter with one device of 256 registers, with those calls of smbus2 that the port uses."""

    def __init__(self, funcs: int) -> None:
        self.funcs = funcs
        self.content = bytearray(256)
        self.transfers: list[int] = []
        self.closed = 0
        self._at = 0

    def i2c_rdwr(self, *messages: i2c_msg) -> None:
        if not self.funcs & 0x1:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        self.transfers.append(len(messages))
        for message in messages:
            self._answers(message.addr)
            if message.flags & I2C_M_RD:
                for place in range(message.len):
                    message.buf[place] = self.content[self._at + place]
            else:
                self._put(bytes(message))

    def write_byte(self, address: int, value: int) -> None:
        self._answers(address)
        self._put(bytes((value,)))

    def write_i2c_block_data(self, address: int, register: int, values: list[int]) -> None:
        self._answers(address)
        self._put(bytes((register, *values)))

    def read_byte(self, address: int) -> int:
        self._answers(address)
        return self.content[self._at]

    def read_i2c_block_data(self, address: int, register: int, count: int) -> list[int]:
        self._answers(address)
        self._put(bytes((register,)))
        return list(self.content[register : register + count])

    def close(self) -> None:
        self.closed += 1
        if self.closed > 1:
            raise OSError(errno.EBADF, "Bad file descriptor")

    def _answers(self, address: int) -> None:
        if address != DEVICE:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")

    def _put(self, raw: bytes) -> None:
        self._at = raw[0]
        self.content[self._at : self._at + len(raw) - 1] = raw[1:]


def opened(funcs: int) -> tuple[I2cPort, Registers]:
    bus = Registers(funcs)
    return I2cPort(1, lambda number: bus), bus


@pytest.mark.parametrize("funcs", [PLAIN, ONLY_SMBUS])
def test_what_is_written_is_read_on_any_adapter(funcs: int) -> None:
    port, bus = opened(funcs)
    port.write(DEVICE, b"\xf2\x01\x25")
    assert bus.content[0xF2:0xF4] == b"\x01\x25"
    assert port.write_read(DEVICE, b"\xf2", 2) == b"\x01\x25"
    port.write(DEVICE, b"\xf3")
    assert port.read(DEVICE, 1) == b"\x25"


def test_the_register_and_its_bytes_are_one_transfer() -> None:
    port, bus = opened(PLAIN)
    port.write_read(DEVICE, b"\x07", 3)
    assert bus.transfers == [2], "a repeated start in between: some devices want it"


def test_a_plain_adapter_takes_what_smbus_has_no_word_for() -> None:
    port, bus = opened(PLAIN)
    bus.content[0x10:0x40] = bytes(range(0x30))
    port.write(DEVICE, b"\x10")
    assert port.read(DEVICE, 48) == bytes(range(48))
    assert port.write_read(DEVICE, b"\x10", 48) == bytes(range(48))


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("read", (2,)),
        ("write_read", (b"\x24\x00", 6)),
        ("write_read", (b"\x00", 33)),
        ("write", (b"",)),
        ("write", (bytes(34),)),
    ],
)
def test_an_smbus_adapter_refuses_the_rest(call: str, arguments: tuple[Any, ...]) -> None:
    port, _ = opened(ONLY_SMBUS)
    with pytest.raises(OSError, match="not supported"):
        getattr(port, call)(DEVICE, *arguments)


@pytest.mark.parametrize("funcs", [PLAIN, ONLY_SMBUS])
def test_a_device_that_does_not_answer_is_an_error_of_the_call(funcs: int) -> None:
    port, _ = opened(funcs)
    calls = (
        lambda: port.write(ABSENT, b"\x00"),
        lambda: port.read(ABSENT, 1),
        lambda: port.write_read(ABSENT, b"\0", 1),
    )
    for call in calls:
        with pytest.raises(OSError, match="Remote I/O error"):
            call()


def test_a_bus_that_is_not_there_says_so() -> None:
    with pytest.raises(PortLost, match=r"^I2C bus 250 does not exist: check that I2C is enabled$"):
        I2cPort(250)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "no permission to open I2C bus 1: add the user to the group i2c",
        ),
        (OSError(errno.EIO, "Input/output error"), "cannot use I2C bus 1: Input/output error"),
    ],
)
def test_a_bus_that_cannot_be_opened_says_what_to_mend(error: OSError, text: str) -> None:
    def refuse(number: int) -> Any:
        raise error

    with pytest.raises(PortLost) as caught:
        I2cPort(1, refuse)
    assert str(caught.value) == text


def test_closing_twice_is_no_error() -> None:
    port, bus = opened(PLAIN)
    port.close()
    port.close()
    assert bus.closed == 2, "and the second was refused"
