"""Bent real messages at every topic, file and port of a running agent: it stays online and goes on measuring."""

import os
import time
from pathlib import Path

import pytest

from tests.outside.hostile_feed import HostileFeed, Unwell


async def survives(folder: Path, seconds: float) -> None:
    """Feed an agent for so long. The seed of a failure is in its message; ``GARDU_SEED`` repeats it."""
    seed = int(os.environ.get("GARDU_SEED") or time.time_ns() % 1_000_000)
    began_s = time.monotonic()
    async with HostileFeed(folder, seed) as feed:
        try:
            while time.monotonic() - began_s < seconds:
                await feed.round()
        except Unwell as error:
            after_s = time.monotonic() - began_s
            pytest.fail(f"seed {seed}, after {after_s:.1f} s: {error}; last: {list(feed.done)}")


async def test_the_agent_survives_twenty_seconds_of_hostile_messages(tmp_path: Path) -> None:
    await survives(tmp_path, 20.0)


@pytest.mark.long
async def test_the_agent_survives_an_hour_of_hostile_messages(tmp_path: Path) -> None:
    await survives(tmp_path, 3600.0)
