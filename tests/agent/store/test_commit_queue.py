"""What waits for a commit: bounded, in order, and back again where the commit fails."""

from agent.store.commit_queue import CommitQueue
from agent.store.limits import StoreLimits
from tests.agent.store.store_fakes import NOW, A, B, reading

LIMITS = StoreLimits(max_pending=5, pause_pending=4, resume_pending=2)


def filled(count: int) -> CommitQueue:
    queue = CommitQueue(LIMITS)
    for mono_ms in range(count):
        queue.append(reading(A, mono_ms))
    return queue


def test_the_oldest_are_dropped_and_counted_once() -> None:
    queue = filled(7)
    assert len(queue) == 5
    assert [one.stamp.mono_ms for one in queue.begin(9, NOW, "").readings] == [2, 3, 4, 5, 6]
    assert queue.pop_dropped() == {A: 2}
    assert queue.pop_dropped() == {}


def test_it_says_when_sensors_had_better_wait_and_when_they_may_go_on() -> None:
    assert [filled(count).full for count in (3, 4)] == [False, True]
    assert [filled(count).has_room for count in (1, 2)] == [True, False]


def test_a_commit_takes_at_most_so_many_readings_in_their_order() -> None:
    queue = filled(3)
    assert [one.stamp.mono_ms for one in queue.begin(2, NOW, "mh").readings] == [0, 1]
    assert [one.stamp.mono_ms for one in queue.begin(2, NOW, "mh").readings] == [2]
    assert queue.empty


def test_each_kind_of_thing_that_waits_is_a_reason_to_commit() -> None:
    for put in (
        lambda queue: queue.append(reading()),
        lambda queue: queue.settle(A, 1, 2),
        lambda queue: queue.remember("x", "1"),
        lambda queue: queue.describe("mh", b"{}"),
    ):
        queue = CommitQueue(LIMITS)
        assert queue.empty
        put(queue)
        assert not queue.empty
        queue.done(queue.begin(9, NOW, ""))
        assert queue.empty


def test_settled_ranges_are_known_until_they_are_committed() -> None:
    queue = CommitQueue(LIMITS)
    queue.settle(A, 1, 2)
    commit = queue.begin(9, NOW, "")
    queue.settle(B, 3, 4)
    assert commit.settled == [(A, 1, 2)]
    assert list(queue.settled()) == [(A, 1, 2), (B, 3, 4)]
    queue.done(commit)
    assert list(queue.settled()) == [(B, 3, 4)]


def test_what_could_not_be_committed_comes_first_next_time() -> None:
    queue = filled(2)
    queue.settle(A, 1, 2)
    queue.remember("x", "old")
    queue.remember("y", "old")
    commit = queue.begin(9, NOW, "")
    queue.append(reading(A, 7))
    queue.settle(B, 3, 4)
    queue.remember("x", "new")
    queue.put_back(commit)
    assert list(queue.settled()) == [(A, 1, 2), (B, 3, 4)]
    again = queue.begin(9, NOW, "")
    assert [one.stamp.mono_ms for one in again.readings] == [0, 1, 7]
    assert again.properties == {"x": "new", "y": "old"}


def test_a_description_is_known_until_it_is_committed_and_a_newer_one_stays() -> None:
    queue = CommitQueue(LIMITS)
    queue.describe("mh", b"old")
    commit = queue.begin(9, NOW, "")
    assert commit.descriptions == {"mh": b"old"}
    assert queue.description("mh") == b"old"
    queue.describe("mh", b"new")
    queue.done(commit)
    assert queue.description("mh") == b"new"
    queue.done(queue.begin(9, NOW, ""))
    assert queue.description("mh") is None
