"""Power cuts of a store: what it did is recorded once, then the power is cut at every operation, in every way."""

import contextlib
import copy
import hashlib
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.crashes import journal
from tests.crashes.filesystem import Disk, Image, read_image, write_image
from tests.crashes.journal import Mark, Operation
from tests.crashes.store_account import StoreAccount, judge, reopen

_MODULE = "tests.crashes.store_workloads"
_STATES_EACH = 2.8
"""Different states that an operation gives, on average, with two draws."""
KILLED = "killed"
"""The process ends and the machine goes on: everything is kept, and the boot is the same."""


@dataclass(frozen=True)
class Recording:
    """What a store did. ``before``: the directory when it began; ``account``: what was accepted by then; ``after``: the
    directory when it ended; ``boot``: the number of the boot."""

    operations: list[Operation]
    before: Image
    account: StoreAccount
    after: Image
    boot: int

    def final_account(self) -> StoreAccount:
        """What was accepted when it ended."""
        account = copy.deepcopy(self.account)
        for operation in self.operations:
            if isinstance(operation, Mark):
                account.apply(*operation.value)
        return account


@dataclass(frozen=True)
class Cut:
    """A directory after a cut. ``account``: what was accepted by then; only valid until the next cut."""

    position: int
    mode: str
    image: Image
    account: StoreAccount


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


class Recorder:
    """Records workloads. ``library``: the shim; ``seed``: of everything that is random in them."""

    def __init__(self, library: Path, seed: int = 0) -> None:
        self._library = library
        self.seed = seed
        self.synchronous = ""
        """SQLite's setting, where it is weakened."""

    def record(
        self, workload: str, before: Image | None = None, account: StoreAccount | None = None, boot: int = 1
    ) -> Recording:
        """Record one workload, which finds the directory as it was ``before``."""
        before = before or {}
        with fast_folder() as folder:
            state, log = folder / "state", folder / "journal"
            state.mkdir()
            write_image(before, state)
            words = [workload, str(state), str(log), boot_id(boot), str(self.seed), self.synchronous]
            journal.run(self._library, _MODULE, words)
            operations = journal.read(log, Disk(before).numbers)
            return Recording(operations, before, account or StoreAccount(), read_image(state), boot)


@contextlib.contextmanager
def fast_folder() -> Iterator[Path]:
    """A directory in memory, where there is one."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="gardu-crash-", dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


def boot_id(boot: int) -> str:
    """The id of a boot."""
    return f"b007{boot:04x}"


def cuts(
    recording: Recording, seed: int, draws: int = 2, share: float = 1.0, first: int = 0, *, lies: bool = False
) -> Iterator[Cut]:
    """Cut the power before every operation, and after the last: with what was synced, with everything (as another boot,
    and as the same), with a torn write, and ``draws`` times with a random part. With a disk that lies, only the latter.
    Equal directories are cut once. ``share``: of the operations that are tried; ``first``: the first of them."""
    disk, account = Disk(recording.before, lies=lies), copy.deepcopy(recording.account)
    account.damaged = account.damaged or lies
    account.stopped = False
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


def check(recording: Recording, cut: Cut, folder: Path) -> list[str]:
    """Open the store after a cut and judge it."""
    state = folder / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    write_image(cut.image, state)
    boot = boot_id(recording.boot if cut.mode == KILLED else recording.boot + 1)
    try:
        found = reopen(state, boot, {stream for stream, _ in cut.account.accepted}, cut.account.retained())
    except Exception as error:  # noqa: BLE001 - whatever it is, the agent would not start
        return [f"crashed: {error!r}"]
    return judge(cut.account, found)


def check_all(recording: Recording, chosen: Iterator[Cut]) -> Tally:
    """Check every cut."""
    tally = Tally()
    with fast_folder() as folder:
        for cut in chosen:
            tally.add(check(recording, cut, folder), f"operation {cut.position}, {cut.mode}")
    return tally


def share_for(recording: Recording, states: int) -> float:
    """The share of the operations that gives at least about this many states."""
    operations = sum(not isinstance(operation, Mark) for operation in recording.operations)
    return min(1.0, states / (_STATES_EACH * operations))


def _digest(image: Image, more: str) -> bytes:
    digest = hashlib.blake2b(more.encode(), digest_size=12)
    for path, content in image.items():
        digest.update(f"{path} {len(content)} ".encode())
        digest.update(content)
    return digest.digest()
