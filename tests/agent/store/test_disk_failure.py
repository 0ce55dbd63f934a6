"""When memory takes over, and when the disk is tried again."""

from agent.store.disk_failure import DiskProbe, FailureGrace
from agent.store.limits import StoreLimits

LIMITS = StoreLimits(failure_grace_s=3.0, probe_s=2.0, max_probe_s=15.0)


def test_commits_may_fail_for_some_seconds_without_a_break() -> None:
    grace = FailureGrace(LIMITS)
    assert [grace.failed(ms) for ms in (0, 2999, 3000)] == [False, False, True]
    grace.succeeded()
    assert [grace.failed(ms) for ms in (9000, 11_999, 12_000)] == [False, False, True]


def test_there_is_no_patience_at_the_end() -> None:
    grace = FailureGrace(LIMITS)
    assert not grace.failed(5)
    grace.skip()
    assert grace.failed(5)


def test_the_disk_is_tried_soon_and_then_twice_as_late_each_time() -> None:
    probe = DiskProbe(LIMITS)
    for _ in range(2):
        probe.begin(1000)
        tried = [ms for ms in range(1000, 60_000, 500) if probe.due(ms)]
        assert tried == [3000, 7000, 15_000, 30_000, 45_000]
