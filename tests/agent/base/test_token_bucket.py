"""So much a second, and a little more at once."""

from agent.base.token_bucket import TokenBucket


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    bucket = TokenBucket(per_s=2.0, burst=3, now_s=0.0)
    assert [bucket.try_consume(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.try_consume(at_s) for at_s in (0.4, 0.5, 0.6, 1.0)] == [False, True, False, True]
    assert [bucket.try_consume(100.0) for _ in range(4)] == [True, True, True, False]
