"""Several Modbus RTU units on one simulated line, for asyncio."""

import asyncio
import random
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType

from drivers.sdk.bus import ModbusRead
from drivers.sdk.contract import LineSettings
from drivers.sdk.modbus import answer, refusal, sealed
from drivers.sdk.profiles.modbus import RegisterSpec
from drivers.sim.encode import contents
from drivers.sim.models import Values, shipped_profile
from drivers.sim.pty_port import PtyPort

_TICK_S = 0.005
_REQUEST_BYTES = 8
_NO_SUCH_FUNCTION, _NO_SUCH_REGISTER = 1, 2
_READ_FUNCTIONS = (3, 4)


class SimulatedUnit:
    """One unit, built from a shipped profile. ``values``: the content of answer number n (from 0)."""

    def __init__(self, profile: str, values: Callable[[int], Values] | None = None) -> None:
        loaded = shipped_profile(profile)
        if not isinstance(loaded.spec, RegisterSpec):
            raise LookupError(f"{profile} is not a Modbus device")
        self.answered = 0
        self._spec = loaded.spec
        self._typical = loaded.sim.values
        self._values = values or (lambda number: {})

    def answer(self, unit: int, read: ModbusRead) -> bytes:
        """Return its answer to a read."""
        if read.function not in _READ_FUNCTIONS:
            return refusal(unit, read, _NO_SUCH_FUNCTION)
        words = self._words(read.function)
        addresses = range(read.address, read.address + read.count)
        if not read.count or any(address not in words for address in addresses):
            return refusal(unit, read, _NO_SUCH_REGISTER)
        self.answered += 1
        return answer(unit, read, b"".join(words[address] for address in addresses))

    def _words(self, function: int) -> dict[int, bytes]:
        """Return the existing registers, each with its two bytes."""
        words = {}
        data = contents(self._spec, {**self._typical, **self._values(self.answered)})
        for read, content in zip(self._spec.reads, data, strict=True):
            if read.function == function:
                for at in range(read.count):
                    words[read.address + at] = content[2 * at : 2 * at + 2]
        return words


class SimulatedModbus:
    """A line with units, each of which answers its requests while the line rate is right.

    ``silent``: units that receive but do not answer. ``before`` and ``after``: noise around every answer, as RS-485
    adapters produce it. At a wrong rate, the answer is only noise. Use it with ``async with``.
    """

    def __init__(
        self,
        units: Mapping[int, SimulatedUnit],
        *,
        silent: Iterable[int] = (),
        before: bytes = b"",
        after: bytes = b"",
        line: LineSettings | None = None,
        link: Path | None = None,
    ) -> None:
        self.units = dict(units)
        self.silent = set(silent)
        self.requests: list[tuple[int, ModbusRead]] = []
        """The last thousand requests received."""
        self._before, self._after = before, after
        self._line = line or LineSettings()
        self._link = link
        self._received = b""
        self._noise = random.Random(0)
        self._pty: PtyPort | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SimulatedModbus":
        self._pty = PtyPort(self._link)
        self._task = asyncio.create_task(self._run(), name="simulated Modbus")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._pty is not None:
            self._pty.close()
        self._pty = None

    @property
    def port(self) -> str:
        """The name to open. Raises LookupError outside ``async with``."""
        if self._pty is None:
            raise LookupError("the line is not open")
        return self._pty.port

    async def _run(self) -> None:
        while True:
            self.step()
            await asyncio.sleep(_TICK_S)

    def step(self) -> None:
        """Receive requests and answer them."""
        assert self._pty is not None
        chunk = self._pty.read()
        if not chunk:
            return
        self._received += chunk
        while len(self._received) >= _REQUEST_BYTES:
            request = self._received[:_REQUEST_BYTES]
            if sealed(request[:-2]) != request:
                self._received = self._received[1:]
                continue
            self._received = self._received[_REQUEST_BYTES:]
            unit, *read = struct.unpack(">BBHH", request[:-2])
            self._handle_request(unit, ModbusRead(*read))

    def _handle_request(self, unit: int, read: ModbusRead) -> None:
        assert self._pty is not None
        self.requests = [*self.requests[-999:], (unit, read)]
        if unit not in self.units or unit in self.silent:
            return
        reply = self.units[unit].answer(unit, read)
        if self._pty.baud() != self._line.baud:
            reply = self._noise.randbytes(len(reply))
        self._pty.write(self._before + reply + self._after)
