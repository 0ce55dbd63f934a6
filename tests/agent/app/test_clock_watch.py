"""What is kept and told of the clock."""

import pytest

from agent.app.clock_watch import ClockWatch
from agent.base.reading import Stamp
from agent.base.timekeeping.clock_trust import parse_state
from tests.agent.fakes import FakeClock, FakeStore

TRUE_MS = 1_795_000_000_000


class Wall:
    """A clock whose trust the test decides."""

    def __init__(self) -> None:
        self.floor_ms, self.proven_ms, self.offset_ms, self.mono_ms, self.clock_quality = 1, 0, 0, 5000, 0
        self.given: tuple[int, int] | None = None

    def now(self) -> Stamp:
        return Stamp(self.offset_ms + self.mono_ms, self.mono_ms, self.clock_quality)

    def restore(self, floor_ms: int, proven_ms: int = 0) -> None:
        self.given = (floor_ms, proven_ms)

    def set(self, clock_quality: int = 1) -> None:
        self.offset_ms, self.clock_quality = TRUE_MS, clock_quality
        self.floor_ms = TRUE_MS + self.mono_ms


class Store(FakeStore):
    """A store whose rows have a newest time."""

    async def newest_ms(self) -> int:
        return 77


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def store() -> Store:
    return Store(FakeClock())


async def test_the_newest_trusted_time_comes_from_the_rows_only_where_none_was_kept(wall: Wall, store: Store) -> None:
    await ClockWatch(wall, "b0070000").begin(store)
    assert wall.given == (77, 0)
    store.remember("clock.floor", "500 400")
    await ClockWatch(wall, "b0070000").begin(store)
    assert wall.given == (500, 400)


async def test_the_newest_trusted_time_is_kept_each_minute_and_at_once_when_it_is_lowered(
    wall: Wall, store: Store
) -> None:
    watch = ClockWatch(wall, "b0070000")
    wall.set()
    await watch.begin(store)
    kept = []
    for second in range(180):
        wall.floor_ms += 1000 if second != 100 else -3_600_000
        watch.check()
        kept.append(parse_state(store.recall("clock.floor")))
    changes = [second for second in range(1, 180) if kept[second] != kept[second - 1]]
    assert changes == [59, 100, 160]


async def test_a_clock_that_is_set_is_told_of_once(wall: Wall, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    watch = ClockWatch(wall, "b0070000")
    heard: list[int] = []
    watch.on_set = lambda: heard.append(1)
    await watch.begin(store)
    assert store.times.is_unset
    wall.mono_ms = 9000
    wall.set()
    for _ in range(3):
        watch.check()
    event = {"ev": "clock_set", "sev": "info", "bid": "b0070000", "from": 9000, "to": TRUE_MS + 9000}
    assert (store.announced, heard) == ([event], [1])
    assert [record.code for record in caplog.records] == ["clock_set"]  # type: ignore[attr-defined]
    again = Store(FakeClock())
    again.remembered = store.remembered
    await ClockWatch(wall, "b0070000").begin(again)
    assert again.announced == []


async def test_a_clock_that_was_set_all_the_time_is_not_told_of(wall: Wall, store: Store) -> None:
    wall.set()
    await ClockWatch(wall, "b0070000").begin(store)
    assert (store.announced, store.recall("clock.boots"), store.times.is_unset) == ([], "", False)
