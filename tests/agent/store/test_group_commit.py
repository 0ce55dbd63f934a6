"""Who wants a commit soonest is heard; who brings too much waits for room."""

import asyncio

import pytest

from agent.store.commit_timer import CommitTimer
from agent.store.group_commit import GroupCommit
from agent.store.limits import StoreLimits
from tests.agent.store.store_fakes import NOW, A, reading

pytestmark = pytest.mark.virtual_time

LIMITS = StoreLimits(max_pending=9, pause_pending=4, resume_pending=2, settle_s=3600.0)


async def is_due(group: GroupCommit | CommitTimer) -> bool:
    """Whether a commit is wanted now or within a moment."""
    waiting = group.due() if isinstance(group, GroupCommit) else group.wait()
    try:
        await asyncio.wait_for(waiting, 0.05)
    except TimeoutError:
        return False
    return True


async def test_whoever_wants_it_soonest_is_heard() -> None:
    timer = CommitTimer()
    timer.wake_in(3600.0)
    timer.wake_in(0.01)
    timer.wake_in(3600.0)
    assert await is_due(timer)
    assert not await is_due(timer), "each wish is granted once"
    timer.wake_in(0.0)
    assert await is_due(timer)


async def test_a_later_wish_that_was_overtaken_is_forgotten() -> None:
    timer = CommitTimer()
    timer.wake_in(0.02)
    timer.wake_in(0.01)
    await timer.wait()
    assert not await is_due(timer)


async def test_a_commit_that_was_made_counts_for_all_that_waited_for_one() -> None:
    timer = CommitTimer()
    timer.wake_in(0.02)
    timer.wake_in(0.0)
    await timer.wait()
    assert not await is_due(timer)


async def test_readings_wait_for_others_but_not_urgent_or_many_ones() -> None:
    group = GroupCommit(3600.0, LIMITS)
    group.append(reading())
    assert not await is_due(group)
    group.append(reading(urgent=True))
    assert await is_due(group)
    group.append(reading())
    assert not await is_due(group)
    group.append(reading())
    assert await is_due(group), "there are many"


async def test_descriptions_are_hurried_and_settled_ranges_and_texts_are_not() -> None:
    group = GroupCommit(0.0, LIMITS)
    group.settle(A, 1, 2)
    group.remember("x", "1")
    assert not await is_due(group)
    group.describe("mh", b"{}")
    assert await is_due(group)
    commit = group.begin(9, NOW, "")
    assert commit is not None
    assert commit.settled == [(A, 1, 2)]
    assert commit.properties == {"x": "1"}


async def test_a_settled_range_does_not_wait_longer_than_it_may() -> None:
    group = GroupCommit(0.0, StoreLimits(settle_s=0.01))
    group.settle(A, 1, 2)
    assert await is_due(group)


async def test_a_flush_returns_when_everything_is_committed() -> None:
    group = GroupCommit(3600.0, LIMITS)
    await group.flush()
    group.append(reading())
    flush = asyncio.create_task(group.flush())
    await group.due()
    commit = group.begin(9, NOW, "")
    assert commit is not None
    group.after_commit()
    await asyncio.wait_for(flush, 5.0)
    group.settle(A, 1, 2)
    group.begin(9, NOW, "")
    flush = asyncio.create_task(group.flush())
    assert group.begin(9, NOW, "") is None, "nothing waits any more"
    await asyncio.wait_for(flush, 5.0)


async def test_what_could_not_be_committed_is_due_again_at_once() -> None:
    group = GroupCommit(3600.0, LIMITS)
    group.append(reading())
    commit = group.begin(9, NOW, "")
    assert commit is not None
    group.put_back(commit)
    assert await is_due(group)
    assert group.begin(9, NOW, "") is not None


async def test_what_is_left_after_a_commit_is_due_at_once() -> None:
    group = GroupCommit(3600.0, LIMITS)
    group.append(reading())
    group.append(reading())
    assert group.begin(1, NOW, "") is not None
    group.after_commit()
    assert await is_due(group)


async def test_sensors_wait_for_room_until_there_is_enough_of_it() -> None:
    group = GroupCommit(3600.0, LIMITS)
    for _ in range(4):
        group.append(reading())
    waiting = asyncio.create_task(group.wait_for_room())
    await asyncio.sleep(0)
    await group.due()
    group.begin(1, NOW, "")
    group.release_waiters()
    await asyncio.sleep(0)
    assert not waiting.done(), "three are still too many"
    group.begin(2, NOW, "")
    group.release_waiters()
    await waiting


async def test_sensors_do_not_wait_while_the_disk_takes_nothing() -> None:
    group = GroupCommit(3600.0, LIMITS)
    for _ in range(4):
        group.append(reading())
    waiting = asyncio.create_task(group.wait_for_room())
    await asyncio.sleep(0)
    await group.due()
    group.failing = True
    group.release_waiters()
    await waiting
    await group.wait_for_room()
