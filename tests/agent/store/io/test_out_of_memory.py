"""Memory runs out at the Nth call inside the store's code, for every N: nothing accepted is lost or numbered twice."""

import gc
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType

import pytest

from agent.base.reading import Reading, Stamp
from agent.store.commit import Commit
from agent.store.io.backend import Backend
from agent.store.io.databases import DatabaseSettings
from agent.store.io.errors import StoreError
from agent.store.io.files import StoreFiles
from agent.store.limits import StoreLimits
from tests.agent.store.store_fakes import NOW, A, B
from tests.crashes.cuts import fast_folder

# A process that ends leaves its files open. Since 3.13 Python warns of that.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")

_STORE = str(Path("agent", "store"))
_MAX_BYTES = 1 << 20


@pytest.fixture(autouse=True)
def _leave_nothing_open() -> Iterator[None]:
    yield
    gc.collect()


class OutOfMemory:
    """Raises :class:`MemoryError` once, when ``place`` functions of the store have been called."""

    def __init__(self, place: int) -> None:
        self.left = place

    @contextmanager
    def injected(self) -> Iterator[None]:
        """Inside, memory may run out."""
        sys.setprofile(self._count)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        # An error inside a generator that is being closed is nobody's: its callers are counted instead.
        if event == "call" and _STORE in code.co_filename and not code.co_flags & inspect.CO_GENERATOR:
            self.left -= 1
            if self.left == 0:
                raise MemoryError


class Run:
    """Runs of a store in one folder. ``accepted``: body of each row by stream and number, as committed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "store.db"
        self._bodies = count(1)
        self.accepted: dict[tuple[str, int], bytes] = {}
        self.attempted: set[bytes] = set()
        self.backend: Backend

    def open(self) -> None:
        settings = DatabaseSettings(_MAX_BYTES, "b0070000", lambda: NOW, StoreLimits())
        self.backend = Backend(StoreFiles(self._path, _MAX_BYTES, "b0070000"), settings)
        self.backend.open("")
        self.backend.record_losses()

    @property
    def is_open(self) -> bool:
        return "backend" in vars(self) and self.backend.disk is not None

    def end(self) -> None:
        """Close what is open, as the end of the process does."""
        vars(self).pop("backend", None)
        gc.collect()

    def commit(self, settled: tuple[tuple[str, int, int], ...] = ()) -> None:
        bodies = [b"\xa4%04d" % next(self._bodies) for _ in range(4)]
        self.attempted.update(bodies)
        streams = (A, A, B, A)
        readings = [
            Reading(stream, Stamp(NOW.t, 0, 1), "mh000000", body) for stream, body in zip(streams, bodies, strict=True)
        ]
        commit = Commit(readings, NOW, "mh000000")
        commit.settled.extend(settled)
        commit.descriptions["mh000000"] = b"{}"
        commit.properties["turn"] = bodies[0].decode(errors="replace")
        assigned = dict(self.backend.commit(commit).assigned)
        following = {stream: first for stream, (first, _) in assigned.items()}
        for stream, body in zip(streams, bodies, strict=True):
            self.accepted[stream, following[stream]] = body
            following[stream] += 1

    def work(self) -> None:
        """What a store does in its life."""
        self.open()
        self.commit()
        self.commit(((A, 1, 3),))
        self.backend.read([(A, 1, 99, 99)])
        self.backend.begin_epoch("eeeeeeee", {A: 4})
        self.commit()
        self.backend.upkeep()
        self.backend.close()

    def stored(self) -> dict[tuple[str, int], bytes]:
        rows = self.backend.read([(stream, 1, 1 << 43, 9999) for stream in (A, B)])
        return {(stream, row.seq): row.body for stream, found in zip((A, B), rows, strict=True) for row in found}


def _check(run: Run, place: int) -> None:
    stored = run.stored()
    assert run.accepted.items() <= stored.items(), f"an accepted row is missing or altered, call {place}"
    assert len(set(stored.values())) == len(stored), f"a row has two numbers, call {place}"
    assert set(stored.values()) <= run.attempted, f"a row was invented, call {place}"


@pytest.mark.parametrize("restarts", [True, False], ids=["the process ends", "the process goes on"])
def test_nothing_is_lost_wherever_memory_runs_out(restarts: bool) -> None:
    """The process ends without a word, and starts again; or the store is used on, and stopped cleanly."""
    gc.freeze()  # only what the store leaves is collected, which is little
    for place in count(1):
        with fast_folder() as folder:
            run = Run(folder)
            memory = OutOfMemory(place)
            try:
                with memory.injected():
                    run.work()
                assert memory.left > 0
                assert place > 300
                gc.unfreeze()
                return
            except (MemoryError, StoreError):
                pass
            if not restarts and run.is_open:
                run.commit()
                _check(run, place)
                run.backend.close()
            run.end()
            run.open()
            run.commit()
            _check(run, place)
            run.backend.close()
