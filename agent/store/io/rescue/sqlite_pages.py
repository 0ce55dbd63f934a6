"""Reads the pages of an SQLite file and its write-ahead log without SQLite, which refuses a file for one bad page.

Format: https://www.sqlite.org/fileformat2.html.
"""

import struct
from pathlib import Path

from agent.store.format.sqlite_records import Unreadable

_USUAL_PAGE_BYTES = 1024
"""The page size of a store, used if the file header is unreadable."""


class Pages:
    """The pages of a store's file, overlaid with the complete transactions of its write-ahead log."""

    def __init__(self, path: Path, wal: Path) -> None:
        self._file = path.open("rb")
        head = self._file.read(100)
        size = int.from_bytes(head[16:18], "big")
        is_valid = head[:16] == b"SQLite format 3\0" and 512 <= size <= 32768 and size & (size - 1) == 0
        self.size = size if is_valid else _USUAL_PAGE_BYTES
        self.count = self._file.seek(0, 2) // self.size
        self._log = wal.open("rb") if wal.exists() else None
        self._logged: dict[int, int] = {}
        if self._log is not None:
            self._read_log()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._log is not None:
            self._log.close()

    def page(self, number: int) -> bytes:
        """Return a page. Raises :class:`Unreadable`."""
        if not 1 <= number <= self.count:
            raise Unreadable
        offset = self._logged.get(number)
        source, at = (self._file, (number - 1) * self.size) if offset is None else (self._log, offset)
        assert source is not None
        try:
            source.seek(at)
            content = source.read(self.size)
        except OSError as error:
            raise Unreadable from error
        if len(content) < self.size:
            raise Unreadable
        return content

    def _read_log(self) -> None:
        """Record where the log has the newest committed version of each page."""
        assert self._log is not None
        try:
            head = self._log.read(32)
            if len(head) < 32 or head[:3] != b"\x37\x7f\x06" or int.from_bytes(head[8:12], "big") != self.size:
                return
            order = ">" if head[3] & 1 else "<"
            sums = _log_sums(head[:24], (0, 0), order)
            pending: dict[int, int] = {}
            while True:
                frame = self._log.read(24)
                offset = self._log.tell()
                content = self._log.read(self.size)
                if len(content) < self.size or frame[8:16] != head[16:24]:
                    return
                sums = _log_sums(content, _log_sums(frame[:8], sums, order), order)
                number, commit, *_, first, second = struct.unpack(">6I", frame)
                if sums != (first, second):
                    return
                pending[number] = offset
                if commit:
                    self._logged.update(pending)
                    pending.clear()
                    self.count = max(self.count, commit)
        except OSError:
            return


def _log_sums(content: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & 0xFFFFFFFF
        second = (second + words[at + 1] + first) & 0xFFFFFFFF
    return first, second
