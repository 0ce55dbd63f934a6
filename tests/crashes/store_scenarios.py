"""What a store goes through while the power is cut: recordings by name, some on top of what an earlier one left."""

import copy
import random
import sqlite3
from collections.abc import Callable, Mapping

from tests.crashes.cuts import cuts, fast_folder
from tests.crashes.filesystem import read_image, write_image
from tests.crashes.store_account import OWN, StoreAccount
from tests.crashes.store_cuts import Recorder, StoreCut, StoreRecording

_HEADER_BYTES = 100
_MODES = ("synced", "everything", "some", "torn")
_NEARBY = 40
"""Operations."""


def _plain(workload: str) -> Callable[[Recorder], StoreRecording]:
    return lambda recorder: recorder.record(workload)


def _migrate(recorder: Recorder) -> StoreRecording:
    """The store of an older release is opened, and migrated."""
    first = recorder.record("append")
    with fast_folder() as folder:
        write_image(first.after, folder)
        connection = sqlite3.connect(folder / "store.db")
        connection.executescript("ALTER TABLE reading DROP COLUMN crc; PRAGMA user_version = 1")
        connection.close()
        older = read_image(folder)
    return recorder.record("continue", older, first.final_account(), boot=2)


def _rescue_all(recorder: Recorder) -> StoreRecording:
    """The header of the file is gone: it is set aside, and every row is rescued."""
    first = recorder.record("append")
    content = bytes(_HEADER_BYTES) + first.after["store.db"][_HEADER_BYTES:]
    return _continued_damaged(recorder, first, content, first.final_account())


def _rescue_most(recorder: Recorder) -> StoreRecording:
    """A byte of one row has changed: the others are rescued, and this one is reported as lost."""
    first = recorder.record("append")
    account = first.final_account()
    content = bytearray(first.after["store.db"])
    (stream, number), (row, *_) = next(
        (key, rows) for key, rows in account.accepted.items() if account.is_owed(*key) and key[0] != OWN
    )
    content[content.index(row.body) + len(row.body) // 2] ^= 1
    account.excuse(stream, number, number + 1)
    return _continued_damaged(recorder, first, bytes(content), account)


def _continued_damaged(
    recorder: Recorder, first: StoreRecording, content: bytes, account: StoreAccount
) -> StoreRecording:
    account.damaged = True
    return recorder.record("continue", {**first.after, "store.db": content}, account, boot=2)


def _after_a_cut(
    before: Callable[[Recorder], StoreRecording], place: float, mode: str
) -> Callable[[Recorder], StoreRecording]:
    """The power is cut, and cut again while the next start recovers. ``place``: of the first cut, 0 to 1; further
    recordings cut elsewhere."""

    def record(recorder: Recorder) -> StoreRecording:
        first = before(recorder)
        dice = random.Random(recorder.seed)
        cut = cut_at(first, dice.random() if recorder.seed else place, dice.choice(_MODES) if recorder.seed else mode)
        return recorder.record("continue", cut.image, cut.account, boot=first.boot + 1)

    return record


def cut_at(recording: StoreRecording, place: float, mode: str) -> StoreCut:
    """The cut of this kind at or after a place; another kind if there is none."""
    position = int(place * len(recording.operations))
    later: list[StoreCut] = []
    for cut in cuts(recording, 0, 1, first=position):
        later.append(StoreCut(cut.position, cut.mode, cut.image, copy.deepcopy(cut.account)))
        if cut.mode.startswith(mode) or cut.position > position + _NEARBY:
            break
    return later[-1]


SCENARIOS: Mapping[str, Callable[[Recorder], StoreRecording]] = {
    "append": _plain("append"),
    "evict": _plain("evict"),
    "begin epoch": _plain("begin_epoch"),
    "overflow": _plain("overflow"),
    "full disk": _plain("full"),
    "deleted": _plain("deleted"),
    "migrate": _migrate,
    "rescue all": _rescue_all,
    "rescue most": _rescue_most,
    "recover append": _after_a_cut(_plain("append"), 0.6, "some"),
    "recover evict": _after_a_cut(_plain("evict"), 0.8, "some"),
    "recover overflow": _after_a_cut(_plain("overflow"), 0.4, "synced"),
    "recover migrate": _after_a_cut(_migrate, 0.1, "some"),
    "recover rescue": _after_a_cut(_rescue_all, 0.3, "some"),
}
"""Each takes a store through something else."""
