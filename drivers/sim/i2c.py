"""A simulated I2C bus: chips that answer like the originals, behind the contract's port."""

import errno
from collections.abc import Callable, Mapping
from typing import Protocol

from drivers.bme280 import BME280
from drivers.mlx90614 import pec
from drivers.sdk.profiles.i2c import I2cSpec, checked
from drivers.sim.encode import encode
from drivers.sim.encoders import BME280_CALIBRATION, bme280_values, mlx90614_words
from drivers.sim.models import Values, model, shipped_profile


class SimulatedChip(Protocol):
    """A device at one address."""

    def write(self, raw: bytes) -> None: ...
    def read(self, count: int) -> bytes: ...


def _no_answer() -> OSError:
    return OSError(errno.EREMOTEIO, "Remote I/O error")


class SimulatedI2c:
    """A bus with chips by address: an :class:`~drivers.sdk.bus.I2cPort`. ``paused_s``: total time of pauses."""

    def __init__(self, chips: Mapping[int, SimulatedChip]) -> None:
        self.chips = dict(chips)
        self.paused_s = 0.0

    def write(self, address: int, raw: bytes) -> None:
        self._chip(address).write(raw)

    def read(self, address: int, count: int) -> bytes:
        return self._chip(address).read(count)

    def write_read(self, address: int, raw: bytes, count: int) -> bytes:
        self.write(address, raw)
        return self.read(address, count)

    def pause(self, seconds: float) -> None:
        self.paused_s += seconds

    def _chip(self, address: int) -> SimulatedChip:
        if address not in self.chips:
            raise _no_answer()
        return self.chips[address]


class CommandChip:
    """A chip controlled by commands: each command has an answer; without a command it does not answer a read."""

    def __init__(self, answers: Mapping[bytes, Callable[[], bytes]]) -> None:
        self.written: list[bytes] = []
        self._answers = answers
        self._answer = b""

    def write(self, raw: bytes) -> None:
        if raw not in self._answers:
            raise _no_answer()
        self.written.append(raw)
        self._answer = self._answers[raw]()

    def read(self, count: int) -> bytes:
        answer, self._answer = self._answer, b""
        if not answer:
            raise _no_answer()
        return answer[:count].ljust(count, b"\xff")


class RegisterChip:
    """A chip with 256 registers: a write selects the first one and stores the bytes after it."""

    def __init__(self, registers: Mapping[int, bytes]) -> None:
        self.registers = bytearray(256)
        for first, content in registers.items():
            self.registers[first : first + len(content)] = content
        self._at = 0

    def write(self, raw: bytes) -> None:
        self._at = raw[0]
        self.registers[self._at : self._at + len(raw) - 1] = raw[1:]

    def read(self, count: int) -> bytes:
        return bytes(self.registers[self._at : self._at + count])


def simulated_chip(name: str, values: Values | None = None) -> SimulatedChip:
    """Return the chip of a shipped I2C driver that reports ``values`` (default: its typical ones).

    Raises LookupError for any other name.
    """
    merged = {**model(name).typical, **(values or {})}
    if name == "bme280":
        channels = bme280_values(merged)
        first, humidity = BME280_CALIBRATION[:26], BME280_CALIBRATION[26:]
        return RegisterChip({0xD0: bytes((BME280,)), 0x88: first, 0xE1: humidity, 0xF7: channels})
    if name == "mlx90614":
        words = mlx90614_words(merged)
        answers = {b"\x07": words[:3], b"\x06": words[3:]}
        assert all(pec(0x5A, command[0], word[:2]) == word[2] for command, word in answers.items())
        return CommandChip({command: _returning(word) for command, word in answers.items()})
    profile = shipped_profile(name)
    spec = profile.spec
    if not isinstance(spec, I2cSpec):
        raise LookupError(f"{name} is not an I2C device")
    steps = {step.raw: _returning(b"") for step in spec.start}
    if spec.ready is not None:
        word = spec.ready.mask.to_bytes(2, "big")
        steps[spec.ready.command.raw] = _returning(checked(word, spec.word_check) if spec.word_check else word)
    return CommandChip({**steps, spec.measure.raw: _returning(encode(profile, merged))})


def _returning(answer: bytes) -> Callable[[], bytes]:
    return lambda: answer
