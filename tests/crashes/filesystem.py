"""What a directory may contain after a power cut: its files as the disk has them, not as the process saw them.

Content is durable once the file is synced, a name once its directory is; this is what POSIX promises, and less than
ext4 does. Of everything else, each sector of 512 bytes has any state that it went through since then, and each change
of a directory's names happened or did not.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crashes.journal import MakeDirectory, Names, Operation, Resize, Sync, SyncDirectory, Write

SECTOR = 512
Image = dict[str, bytes]
"""The files of a directory: path -> content. A directory ends with a slash and has no content."""


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Resize] = field(default_factory=list)


class Disk:
    """A directory on a disk. ``lies``: syncs are confirmed and do nothing."""

    def __init__(self, image: Image, *, lies: bool = False) -> None:
        paths = sorted(path for path in image if not path.endswith("/"))
        self.numbers = {path: number for number, path in enumerate(paths, 1)}
        self._files = {number: _File(bytearray(image[path])) for path, number in self.numbers.items()}
        self._names: dict[str, int | None] = {path: None for path in image if path.endswith("/")}
        self._names |= self.numbers
        self._pending: list[Names | MakeDirectory] = []
        self._last: Write | None = None
        self._lies = lies

    def apply(self, operation: Operation) -> None:
        """Carry out an operation of the process."""
        match operation:
            case Write(file) | Resize(file):
                self._file(file).pending.append(operation)
                self._last = operation if isinstance(operation, Write) else self._last
            case Sync(file) if not self._lies:
                found = self._file(file)
                _write_all(found.durable, found.pending)
                found.pending.clear()
            case SyncDirectory(path) if not self._lies:
                _rename_all(self._names, [change for change in self._pending if _directory_of(change) == path])
                self._pending = [change for change in self._pending if _directory_of(change) != path]
            case Names() | MakeDirectory():
                self._pending.append(operation)

    def synced_only(self) -> Image:
        """Nothing that was not synced is kept."""
        return self._image(self._names, {})

    def everything(self) -> Image:
        """Everything is kept: what a killed process leaves."""
        return self._image(_renamed(self._names, self._pending), self._contents(self._files))

    def torn(self, dice: random.Random) -> Image | None:
        """Everything is kept, but of the last write only the first sectors; ``None`` if that is not possible."""
        last = self._last
        if last is None or not any(operation is last for operation in self._file(last.file).pending):
            return None
        first, sectors = last.offset // SECTOR, (last.offset + len(last.data) - 1) // SECTOR
        if first == sectors:
            return None
        stop = dice.randint(first + 1, sectors) * SECTOR
        torn = Write(last.file, last.offset, last.data[: stop - last.offset])
        contents = self._contents(self._files)
        pending = self._files[last.file].pending
        content = bytearray(self._files[last.file].durable)
        _write_all(content, [torn if operation is last else operation for operation in pending])
        return self._image(_renamed(self._names, self._pending), {**contents, last.file: content})

    def some(self, dice: random.Random) -> Image:
        """A random part of what was not synced is kept."""
        share = dice.random()
        kept = [change for change in self._pending if dice.random() < share]
        contents: dict[int, bytearray] = {}
        for number, file in self._files.items():
            if file.pending:
                contents[number] = bytearray(file.durable)
                _write_some(contents[number], file.pending, dice, share)
        return self._image(_renamed(self._names, kept), contents)

    def _file(self, number: int) -> _File:
        return self._files.setdefault(number, _File())

    def _contents(self, files: dict[int, _File]) -> dict[int, bytearray]:
        contents: dict[int, bytearray] = {}
        for number, file in files.items():
            if file.pending:
                contents[number] = bytearray(file.durable)
                _write_all(contents[number], file.pending)
        return contents

    def _image(self, names: dict[str, int | None], contents: dict[int, bytearray]) -> Image:
        image: Image = {}
        for path, number in names.items():
            if any(f"{path[: at + 1]}" not in names for at, letter in enumerate(path[:-1]) if letter == "/"):
                continue  # its directory is not there
            image[path] = b"" if number is None else bytes(contents.get(number, self._file(number).durable))
        return image


def _directory_of(change: Names | MakeDirectory) -> str:
    return change.directory if isinstance(change, Names) else change.path.rpartition("/")[0]


def _renamed(names: dict[str, int | None], changes: Sequence[Names | MakeDirectory]) -> dict[str, int | None]:
    result = dict(names)
    _rename_all(result, changes)
    return result


def _rename_all(names: dict[str, int | None], changes: Sequence[Names | MakeDirectory]) -> None:
    for change in changes:
        if isinstance(change, MakeDirectory):
            names[change.path + "/"] = None
            continue
        for name, file in change.changes:
            path = f"{change.directory}/{name}" if change.directory else name
            if file is None:
                names.pop(path, None)
            else:
                names[path] = file


def _write_all(content: bytearray, operations: Sequence[Write | Resize]) -> None:
    for operation in operations:
        if isinstance(operation, Write):
            _write(content, operation.offset, operation.data)
        else:
            _resize(content, operation)


def _write_some(content: bytearray, operations: Sequence[Write | Resize], dice: random.Random, share: float) -> None:
    """Write each sector up to a random moment of its own."""
    frozen: set[int] = set()
    for operation in operations:
        if isinstance(operation, Resize):
            if dice.random() < share:
                _resize(content, operation)
            continue
        for offset, data in _sectors(operation):
            sector = offset // SECTOR
            if sector not in frozen and dice.random() >= share:
                frozen.add(sector)
            if sector not in frozen:
                _write(content, offset, data)


def _sectors(write: Write) -> Iterator[tuple[int, bytes]]:
    at, stop = write.offset, write.offset + len(write.data)
    while at < stop:
        end = min(stop, (at // SECTOR + 1) * SECTOR)
        yield at, write.data[at - write.offset : end - write.offset]
        at = end


def _write(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _resize(content: bytearray, operation: Resize) -> None:
    if operation.size > len(content):
        content.extend(bytes(operation.size - len(content)))
    elif operation.shrinks:
        del content[operation.size :]


def read_image(folder: Path) -> Image:
    """Read a real directory."""
    image: Image = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir():
            image[name + "/"] = b""
        else:
            image[name] = path.read_bytes()
    return image


def write_image(image: Image, folder: Path) -> None:
    """Write it into an empty directory."""
    for path, content in sorted(image.items()):
        if path.endswith("/"):
            (folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (folder / path).write_bytes(content)
