"""Power cuts of a store: what it did is recorded once, and every directory that a cut may leave is opened again."""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.crashes import journal
from tests.crashes.cuts import KILLED, Cut, Recording, Tally, check_all, fast_folder
from tests.crashes.filesystem import Disk, Image, read_image, write_image
from tests.crashes.store_account import StoreAccount, judge, reopen

_MODULE = "tests.crashes.store_workloads"
StoreRecording = Recording[StoreAccount]
StoreCut = Cut[StoreAccount]


class Recorder:
    """Records workloads. ``library``: the shim; ``seed``: of everything that is random in them."""

    def __init__(self, library: Path, seed: int = 0) -> None:
        self._library = library
        self.seed = seed
        self.synchronous = ""
        """SQLite's setting, where it is weakened."""

    def record(
        self, workload: str, before: Image | None = None, account: StoreAccount | None = None, boot: int = 1
    ) -> StoreRecording:
        """Record one workload, which finds the directory as it was ``before``."""
        before, account = before or {}, copy.deepcopy(account or StoreAccount())
        account.stopped = False
        with fast_folder() as folder:
            state, log = folder / "state", folder / "journal"
            state.mkdir()
            write_image(before, state)
            words = [workload, str(state), str(log), boot_id(boot), str(self.seed), self.synchronous]
            journal.run(self._library, _MODULE, words)
            operations = journal.read(log, Disk(before).numbers)
            return Recording(operations, before, account, read_image(state), boot)


def boot_id(boot: int) -> str:
    """The id of a boot."""
    return f"b007{boot:04x}"


def check(recording: StoreRecording, cut: StoreCut, state: Path) -> list[str]:
    """Open the store after a cut and judge it."""
    boot = boot_id(recording.boot if cut.mode == KILLED else recording.boot + 1)
    try:
        found = reopen(state, boot, {stream for stream, _ in cut.account.accepted}, cut.account.retained())
    except Exception as error:  # noqa: BLE001 - whatever it is, the agent would not start
        return [f"crashed: {error!r}"]
    return judge(cut.account, found)


def check_store(recording: StoreRecording, chosen: Iterator[StoreCut]) -> Tally:
    """Open the store after every cut and judge it."""
    return check_all(chosen, partial(check, recording))
