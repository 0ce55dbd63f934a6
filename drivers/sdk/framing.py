"""Finds frames in a stream of bytes, and lines in a stream of text. Pure; no decoder raises on any input.

The decoders return the same items for any chunking, keep a bounded rest, and continue at the next good frame: after a
candidate that fails its check, only its first byte is skipped.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from drivers.sdk.checksum import Checksum
from drivers.sdk.contract import Item, Measurement, Rejected


class FrameError(ValueError):
    """A candidate is not a frame. ``reason``: a member of the contract's ``REASONS``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Check:
    """A checksum of ``frame[start:end]``, which is at ``at``. Negative positions count from the end."""

    sum: Checksum
    start: int
    end: int | None
    at: int

    @property
    def place(self) -> slice:
        """Where in the frame the checksum is."""
        return slice(self.at, self.at + self.sum.size or None)

    def test(self) -> Callable[[bytes], bool]:
        """Return a function that tests whether a whole frame has the right checksum."""
        body, place = slice(self.start, self.end), self.place
        compute, order = self.sum.compute, self.sum.order
        little = order == "little"

        def right(frame: bytes) -> bool:
            return compute(frame[body]) == int.from_bytes(frame[place], "little" if little else "big")

        return right


@dataclass(frozen=True, slots=True)
class LengthField:
    """A frame's length is the number at ``at`` (a struct format) plus ``add``, between ``min_`` and ``max_``."""

    at: int
    format: str
    add: int
    min_: int
    max_: int


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """How a frame begins, how long it is, how it ends, and which checksum it has."""

    sync: bytes
    length: int | LengthField
    tail: bytes = b""
    check: Check | None = None


class FrameDecoder:
    """Finds frames in bytes. ``parse`` makes the measurement of a checked frame, or raises FrameError."""

    def __init__(self, frame: FrameFormat, parse: Callable[[bytes, float], Measurement]) -> None:
        self.skipped = 0
        self._rest = b""
        self._sync = frame.sync
        self._fixed = frame.length if isinstance(frame.length, int) else 0
        self._field = frame.length if isinstance(frame.length, LengthField) else None
        self._tail = frame.tail
        self._right = frame.check.test() if frame.check else None
        self._wrong = Rejected(frame.check.sum.reason if frame.check else "checksum")
        self._parse = parse

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        return self._scan(self._rest + chunk, at_s)

    def finish(self, at_s: float) -> list[Item]:
        items: list[Item] = []
        while self._rest:
            self.skipped += 1
            items += self._scan(self._rest[1:], at_s)
        return items

    def _scan(self, buffer: bytes, at_s: float) -> list[Item]:
        items: list[Item] = []
        here = 0
        while True:
            start = buffer.find(self._sync, here)
            if start < 0:
                start = len(buffer) - self._begun(buffer, here)
                self.skipped += start - here
                break
            self.skipped += start - here
            length = self._fixed or self._length(buffer, start)
            if start + length > len(buffer):
                break
            item = self._judge(buffer[start : start + length], at_s)
            items.append(item)
            if isinstance(item, Rejected):
                self.skipped += 1
                here = start + 1
            else:
                here = start + length
        self._rest = buffer[start:]
        return items

    def _begun(self, buffer: bytes, here: int) -> int:
        """Return how many of the last bytes may be the beginning of the next sync."""
        for count in range(min(len(self._sync) - 1, len(buffer) - here), 0, -1):
            if buffer.endswith(self._sync[:count]):
                return count
        return 0

    def _length(self, buffer: bytes, start: int) -> int:
        """Return the length that a frame contains; of an impossible one, only up to the length field."""
        field = self._field
        assert field is not None
        head = field.at + struct.calcsize(field.format)
        if start + head > len(buffer):
            return head
        length = int(struct.unpack_from(field.format, buffer, start + field.at)[0]) + field.add
        return length if field.min_ <= length <= field.max_ else head

    def _judge(self, frame: bytes, at_s: float) -> Item:
        if self._field and len(frame) < self._field.min_:
            return Rejected("format")
        if self._right and not self._right(frame):
            return self._wrong
        if self._tail and not frame.endswith(self._tail):
            return Rejected("format")
        try:
            return self._parse(frame, at_s)
        except FrameError as error:
            return Rejected(error.reason)


class BlockDecoder:
    """Decodes answers of a known size, as a bus delivers them. ``parse``: as in :class:`FrameDecoder`.

    A bus delivers whole answers: what is left at the end belongs to none of them.
    """

    def __init__(self, size: int, parse: Callable[[bytes, float], Measurement]) -> None:
        self.skipped = 0
        self._size = size
        self._parse = parse
        self._rest = b""

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        buffer = self._rest + chunk
        whole = len(buffer) - len(buffer) % self._size
        self._rest = buffer[whole:]
        return [self._judge(buffer[at : at + self._size], at_s) for at in range(0, whole, self._size)]

    def finish(self, at_s: float) -> list[Item]:
        self.skipped += len(self._rest)
        self._rest = b""
        return []

    def _judge(self, block: bytes, at_s: float) -> Item:
        try:
            return self._parse(block, at_s)
        except FrameError as error:
            self.skipped += len(block)
            return Rejected(error.reason)


class LineDecoder:
    """Finds lines in bytes, as Latin-1 text. A line ends with CR, LF or both.

    ``parse`` returns the measurement of a line, or None for a line without one; FrameError rejects the line. A line
    that is longer than ``max_length`` bytes is skipped.
    """

    def __init__(self, parse: Callable[[str, float], Measurement | None], max_length: int = 512) -> None:
        self.skipped = 0
        self._parse = parse
        self._max_length = max_length
        self._rest = b""
        self._overlong = False

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        lines = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop()
        items: list[Item] = []
        for line in lines:
            self._decode(line, at_s, items)
        if self._overlong or len(self._rest) > self._max_length:
            self.skipped += len(self._rest)
            self._rest = b""
            self._overlong = True
        return items

    def finish(self, at_s: float) -> list[Item]:
        items: list[Item] = []
        line, self._rest = self._rest, b""
        self._decode(line, at_s, items)
        return items

    def _decode(self, line: bytes, at_s: float, items: list[Item]) -> None:
        if self._overlong or len(line) > self._max_length:
            self._overlong = False
            self.skipped += len(line)
            return
        if not line:
            return
        try:
            item: Item | None = self._parse(line.decode("latin-1"), at_s)
        except FrameError as error:
            item = Rejected(error.reason)
        if item is None:
            self.skipped += len(line)
        else:
            items.append(item)
