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
    """One unit, made of a shipped profile. ``values``: what its answer number n (from 0) says."""

    def __init__(self, profile: str, values: Callable[[int], Values] | None = None) -> None:
        whole = shipped_profile(profile)
        if not isinstance(whole.spec, RegisterSpec):
            raise LookupError(f"{profile} is no Modbus device")
        self.answered = 0
        self._spec = whole.spec
        self._typical = whole.sim.values
        self._values = values or (lambda number: {})

    def answer(self, unit: int, read: ModbusRead) -> bytes:
        """What it says to a read."""
        if read.function not in _READ_FUNCTIONS:
            return refusal(unit, read, _NO_SUCH_FUNCTION)
        words = self._words(read.function)
        wanted = range(read.address, read.address + read.count)
        if not read.count or any(address not in words for address in wanted):
            return refusal(unit, read, _NO_SUCH_REGISTER)
        self.answered += 1
        return answer(unit, read, b"".join(words[address] for address in wanted))

    def _words(self, function: int) -> dict[int, bytes]:
        """The registers that are there, each with its two bytes."""
        words = {}
        carried = contents(self._spec, {**self._typical, **self._values(self.answered)})
        for read, content in zip(self._spec.reads, carried, strict=True):
            if read.function == function:
                for at in range(read.count):
                    words[read.address + at] = content[2 * at : 2 * at + 2]
        return words


class SimulatedModbus:
    """A line with units on it; each answers what is asked of it while the line rate is right.

    ``silent``: units that hear and say nothing. ``before`` and ``after``: noise around every answer, as
    RS-485 adapters make it. At a wrong rate the answer is noise alone. Use it with ``async with``.
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
        self.asked: list[tuple[int, ModbusRead]] = []
        """Every request that was heard, the last thousand of them."""
        self._before, self._after = before, after
        self._line = line or LineSettings()
        self._link = link
        self._heard = b""
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
        """The name to open. Raises LookupError outside of ``async with``."""
        if self._pty is None:
            raise LookupError("the line is not there")
        return self._pty.port

    async def _run(self) -> None:
        while True:
            self.step()
            await asyncio.sleep(_TICK_S)

    def step(self) -> None:
        """Hear what was asked, and answer it."""
        assert self._pty is not None
        chunk = self._pty.read()
        if not chunk:
            return
        self._heard += chunk
        while len(self._heard) >= _REQUEST_BYTES:
            request = self._heard[:_REQUEST_BYTES]
            if sealed(request[:-2]) != request:
                self._heard = self._heard[1:]
                continue
            self._heard = self._heard[_REQUEST_BYTES:]
            unit, *read = struct.unpack(">BBHH", request[:-2])
            self._reply(unit, ModbusRead(*read))

    def _reply(self, unit: int, read: ModbusRead) -> None:
        assert self._pty is not None
        self.asked = [*self.asked[-999:], (unit, read)]
        if unit not in self.units or unit in self.silent:
            return
        said = self.units[unit].answer(unit, read)
        if self._pty.baud() != self._line.baud:
            said = self._noise.randbytes(len(said))
        self._pty.write(self._before + said + self._after)
