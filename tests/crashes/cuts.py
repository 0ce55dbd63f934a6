"""Cuts the power at every operation of a recording, in every way that a disk allows."""

import contextlib
import copy
import hashlib
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from tests.crashes.filesystem import Disk, Image, write_image
from tests.crashes.journal import Mark, Operation

_STATES_EACH = 2.8
"""Different states that an operation gives, on average, with two draws."""
KILLED = "killed"
"""The process ends and the machine goes on: everything is kept, and the boot is the same."""


class Account(Protocol):
    """What is known from the marks so far."""

    def apply(self, kind: str, *values: Any) -> None:
        """Take a mark into account."""


A = TypeVar("A", bound=Account)


@dataclass(frozen=True)
class Recording(Generic[A]):
    """What a program did. ``before``: the directory when it began; ``account``: what was known by then; ``after``: the
    directory when it ended; ``boot``: the number of the boot."""

    operations: list[Operation]
    before: Image
    account: A
    after: Image
    boot: int = 1

    def final_account(self) -> A:
        """What was known when it ended."""
        account = copy.deepcopy(self.account)
        for operation in self.operations:
            if isinstance(operation, Mark):
                account.apply(*operation.value)
        return account


@dataclass(frozen=True)
class Cut(Generic[A]):
    """A directory after a cut. ``account``: what was known by then; only valid until the next cut."""

    position: int
    mode: str
    image: Image
    account: A


@dataclass
class Tally:
    """What came of the cuts: how many states there were, and the faults with the first state that had each."""

    states: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """States by the kind of fault they have; a state may have several."""
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, faults: list[str], where: str) -> None:
        """Count a state."""
        self.states += 1
        for kind in {fault.partition(":")[0] for fault in faults}:
            self.kinds[kind] += 1
        for fault in faults:
            self.examples.setdefault(fault.partition(":")[0], f"{where}: {fault}")


@contextlib.contextmanager
def fast_folder() -> Iterator[Path]:
    """A directory in memory, where there is one."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="gardu-crash-", dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


def cuts(
    recording: Recording[A], seed: int, draws: int = 2, share: float = 1.0, first: int = 0, *, lies: bool = False
) -> Iterator[Cut[A]]:
    """Cut the power before every operation, and after the last: with what was synced, with everything (as another boot,
    and as the same), with a torn write, and ``draws`` times with a random part. With a disk that lies, only the latter.
    Equal directories are cut once. ``share``: of the operations that are tried; ``first``: the first of them."""
    disk, account = Disk(recording.before, lies=lies), copy.deepcopy(recording.account)
    seen: set[bytes] = set()
    marks = 0
    for position, operation in enumerate([*recording.operations, None]):
        if isinstance(operation, Mark):
            account.apply(*operation.value)
            marks += 1
            continue
        dice = random.Random(f"{seed} {position}")
        images = _images(disk, dice, draws, lies=lies) if position >= first and dice.random() < share else ()
        for mode, image in images:
            digest = _digest(image, f"{marks} {mode == KILLED}")
            if digest not in seen:
                seen.add(digest)
                yield Cut(position, mode, image, account)
        if operation is not None:
            disk.apply(operation)


def _images(disk: Disk, dice: random.Random, draws: int, *, lies: bool) -> Iterator[tuple[str, Image]]:
    if not lies:
        yield KILLED, disk.everything()
        yield "everything", disk.everything()
        yield "synced", disk.synced_only()
        torn = disk.torn(dice)
        if torn is not None:
            yield "torn", torn
    for draw in range(draws):
        yield f"some {draw}", disk.some(dice)


def check_all(chosen: Iterator[Cut[A]], check: Callable[[Cut[A], Path], list[str]]) -> Tally:
    """Check every cut. ``check``: gives the faults of a directory."""
    tally = Tally()
    with fast_folder() as folder:
        for number, cut in enumerate(chosen):
            state = folder / str(number)
            state.mkdir()
            write_image(cut.image, state)
            tally.add(check(cut, state), f"operation {cut.position}, {cut.mode}")
            shutil.rmtree(state)
    return tally


def share_for(recording: Recording[Any], states: int) -> float:
    """The share of the operations that gives at least about this many states."""
    operations = sum(not isinstance(operation, Mark) for operation in recording.operations)
    return min(1.0, states / (_STATES_EACH * operations))


def _digest(image: Image, more: str) -> bytes:
    digest = hashlib.blake2b(more.encode(), digest_size=12)
    for path, content in image.items():
        digest.update(f"{path} {len(content)} ".encode())
        digest.update(content)
    return digest.digest()
