"""Trying again until it holds."""

import pytest

from agent.base.retry import retry_forever


class Lost(Exception):
    """What is tried again."""


class Work:
    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.reported: list[str] = []
        self.slept: list[float] = []

    async def hold(self) -> None:
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def run(self) -> None:
        await retry_forever(
            self.hold,
            Lost,
            lambda state: state.attempt_number / 10,
            lambda error: self.reported.append(str(error)),
            self.sleep,
        )


async def test_each_failure_is_reported_and_tried_again_after_its_wait() -> None:
    work = Work(Lost("one"), Lost("two"), None)
    await work.run()
    assert (work.reported, work.slept, work.outcomes) == (["one", "two"], [0.1, 0.2], [])


async def test_each_call_counts_from_the_beginning() -> None:
    work = Work(Lost("one"), None, Lost("two"), None)
    await work.run()
    await work.run()
    assert work.slept == [0.1, 0.1]


async def test_any_other_error_passes_through() -> None:
    work = Work(ValueError("a fault"))
    with pytest.raises(ValueError, match="a fault"):
        await work.run()
    assert work.reported == []
