"""Whatever goes wrong while something from outside is handled ends that thing alone."""

import logging

import pytest

from agent.update.guard import BrokenState, Guard


async def test_an_unforeseen_error_is_a_refusal_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard()

    async def fail(error: Exception | None) -> None:
        if error is not None:
            raise error

    for number in range(5):
        refused = await guard.run("config/desired", fail(ValueError(f"number {number}")))
        assert refused is not None
        assert refused.code == "internal_error"
    assert await guard.run("config/desired", fail(None)) is None
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "config/desired" in line.message
    assert "test_guard.py" in line.message


async def test_only_a_broken_state_gets_out() -> None:
    async def fail() -> None:
        raise BrokenState("what runs is not known")

    with pytest.raises(BrokenState):
        await Guard().run("config", fail())
