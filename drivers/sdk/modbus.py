"""Modbus RTU frames: requests, answers, and a decoder that finds answers on a noisy line.

Source: MODBUS over serial line specification and implementation guide V1.02, section 2.5.1 (RTU frame, CRC);
MODBUS application protocol specification V1.1b3, section 7 (exception answers: function plus 0x80).
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drivers.sdk.bus import ModbusRead
from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import NOTHING_DOUBTED, Item, Measurement, Rejected, Value
from drivers.sdk.framing import FrameError

_CRC = CHECKSUMS["crc16_modbus"]
_EXCEPTION = 0x80
_EXCEPTION_BYTES = 5
_NOT_THERE = (1, 2, 3)
"""The exceptions of a device that has no such function, address or number of registers."""
_AROUND_BYTES = 5
"""Unit, function, byte count and CRC."""
_BIT_FUNCTIONS = (1, 2)
_MAX_RECEIVED_BYTES = 16_384
_LOST_ANSWER_BYTES = 7
"""This many skipped bytes may have been a whole answer that is no longer recognisable."""


def sealed(frame: bytes) -> bytes:
    """Return the frame with its CRC."""
    return frame + _CRC.compute(frame).to_bytes(2, "little")


def request(unit: int, read: ModbusRead) -> bytes:
    """Return the request for a block of registers."""
    return sealed(struct.pack(">BBHH", unit, read.function, read.address, read.count))


def answer(unit: int, read: ModbusRead, content: bytes) -> bytes:
    """Return the answer to a read. ``content``: its registers, high byte first, or its coils, eight per byte."""
    return sealed(bytes((unit, read.function, len(content))) + content)


def refusal(unit: int, read: ModbusRead, code: int) -> bytes:
    """Return the answer of a device that rejects a request. ``code``: 2, for example, for a missing register."""
    return sealed(bytes((unit, read.function | _EXCEPTION, code)))


def content_bytes(read: ModbusRead) -> int:
    """Return how many bytes of content the answer to a read has."""
    return (read.count + 7) // 8 if read.function in _BIT_FUNCTIONS else 2 * read.count


class AnswerFinder:
    """Finds out when the answer to a request is complete, whatever noise is around it.

    ``received``: everything since the request. ``found``: whether it contains an answer with the right checksum.
    """

    def __init__(self, read: ModbusRead) -> None:
        self.found = False
        self.received = b""
        self._function = read.function
        self._size = content_bytes(read) + _AROUND_BYTES
        self._start = bytes((read.function, content_bytes(read) & 0xFF))
        self._at = 0

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for: the answer is complete, or there is too much noise."""
        return self.found or len(self.received) > _MAX_RECEIVED_BYTES

    def feed(self, chunk: bytes) -> None:
        """Add received bytes."""
        self.received += chunk
        undecided = len(self.received) - 1
        for at in range(self._at, len(self.received) - 1):
            size = self._candidate(at)
            if size and at + size > len(self.received):
                undecided = min(undecided, at)
            elif size and _is_intact(self.received[at : at + size]):
                self.found = True
                return
        self._at = max(self._at, undecided)

    def _candidate(self, at: int) -> int:
        """Return the size of the answer that may begin here; 0 if none can."""
        if self.received[at + 1] == self._function | _EXCEPTION:
            return _EXCEPTION_BYTES
        head = self.received[at + 1 : at + 3]
        return self._size if head == self._start[: len(head)] else 0


@dataclass(frozen=True, slots=True)
class Block:
    """A read and the meaning of its answer. ``values``: returns the values in the content, or raises FrameError."""

    read: ModbusRead
    names: tuple[str, ...]
    values: Callable[[bytes], Mapping[str, Value]]


Judge = Callable[[dict[str, Value], float], Mapping[str, str]]
"""Returns the qualities of a round's values, and sets bad ones to None. The time is that of ``feed``."""


class AnswerDecoder:
    """A :class:`~drivers.sdk.bus.ModbusDecoder`: a round of answers makes a measurement."""

    def __init__(self, blocks: Sequence[Block], judge: Judge | None = None) -> None:
        self.skipped = 0
        self.done = 0
        self._blocks = tuple(blocks)
        shapes = [(block.read.function, content_bytes(block.read)) for block in blocks]
        self._alike = len(set(shapes)) < len(shapes)
        self._judge = judge
        self._rest = b""
        self._begin()

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        buffer = self._rest + chunk
        items: list[Item] = []
        here = 0
        while here < len(buffer) and not self._void:
            size = self._candidate(buffer, here)
            if size == 0:
                here += 1
                self._skip(1)
            elif here + size > len(buffer):
                break
            else:
                here += self._judge_frame(buffer[here : here + size], items, at_s)
        if self._void:
            self.skipped += len(buffer) - here
            here = len(buffer)
        self._rest = buffer[here:]
        return items

    def missed(self, at_s: float) -> list[Item]:
        """See :class:`~drivers.sdk.bus.ModbusDecoder`."""
        self.skipped += len(self._rest)
        self._rest = b""
        return self._failed("bad:timeout", at_s)

    def finish(self, at_s: float) -> list[Item]:
        items: list[Item] = []
        while self._rest:
            rest, self._rest = self._rest[1:], b""
            self._skip(1)
            items += self.feed(rest, at_s)
        if any(value is not None for value in self._values.values()):
            items.append(self._measured(at_s))
        self._begin()
        return items

    def _begin(self) -> None:
        self._at = 0
        self._values: dict[str, Value] = {}
        self._doubts: dict[str, str] = {}
        self._astray = 0
        self._void = not self._blocks

    def _candidate(self, buffer: bytes, here: int) -> int:
        """Return the size of the answer that may begin here, which may be incomplete; 0 if none can."""
        read = self._blocks[self._at].read
        content = content_bytes(read)
        head = buffer[here + 1 : here + 3]
        if head[:1] == bytes((read.function | _EXCEPTION,)):
            whole = here + _EXCEPTION_BYTES <= len(buffer)
            return _EXCEPTION_BYTES if not whole or _is_intact(buffer[here : here + _EXCEPTION_BYTES]) else 0
        if head != bytes((read.function, content))[: len(head)]:
            return 0
        return content + _AROUND_BYTES

    def _judge_frame(self, frame: bytes, items: list[Item], at_s: float) -> int:
        """Check a complete candidate; return how many bytes of the line are used up."""
        if not _is_intact(frame):
            items.append(Rejected(_CRC.reason))
            if self._alike:  # the next answer may belong to either of two reads
                self._void = True
            self.skipped += 1
            return 1
        self._astray = 0
        if frame[1] & _EXCEPTION:
            if self._blocks[self._at].read.optional and frame[2] in _NOT_THERE:
                items += self._next(at_s)
                return len(frame)
            items.append(Rejected("device"))
            items += self._failed("bad:device", at_s)
            return len(frame)
        block = self._blocks[self._at]
        try:
            self._values.update(block.values(frame[3:-2]))
        except FrameError as error:
            items.append(Rejected(error.reason))
            items += self._failed(f"bad:{error.reason}", at_s)
            return len(frame)
        items += self._next(at_s)
        return len(frame)

    def _skip(self, count: int) -> None:
        self.skipped += count
        self._astray += count
        if self._alike and self._astray >= _LOST_ANSWER_BYTES:
            self._void = True

    def _failed(self, doubt: str, at_s: float) -> list[Item]:
        if self._void:
            return []
        for name in self._blocks[self._at].names:
            self._values[name] = None
            self._doubts[name] = doubt
        return self._next(at_s)

    def _next(self, at_s: float) -> list[Item]:
        """Continue with the next read; after the last, return the measurement."""
        self._at += 1
        self.done += 1
        if self._at < len(self._blocks):
            return []
        some = any(value is not None for value in self._values.values())
        items: list[Item] = [self._measured(at_s)] if some else []
        self._begin()
        return items

    def _measured(self, at_s: float) -> Measurement:
        doubts = dict(self._judge(self._values, at_s)) if self._judge else {}
        doubts.update(self._doubts)
        return Measurement(dict(self._values), doubts or NOTHING_DOUBTED)


def _is_intact(frame: bytes) -> bool:
    return _CRC.compute(frame[:-2]) == int.from_bytes(frame[-2:], "little")
