"""Bent real messages at every topic, file and port of a running agent, and at the tools that hear its city."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.outside.hostile_feed import HostileFeed, Unwell
from tests.outside.stolen_gateways import Misled, StolenGateways


async def survives(folder: Path, seed: int, seconds: float) -> str:
    """Feed an agent for so long; what is wrong with it, empty where nothing is."""
    began_s = time.monotonic()
    async with HostileFeed(folder, seed) as feed:
        try:
            while time.monotonic() - began_s < seconds:
                await feed.round()
        except Unwell as error:
            return f"seed {seed}, after {time.monotonic() - began_s:.1f} s: {error}; last: {list(feed.done)}"
    return ""


async def shows_what_is_true(folder: Path, seed: int, seconds: float) -> str:
    """Use the tools of a city with stolen gateways for so long; what is wrong with them."""
    began_s = time.monotonic()
    async with StolenGateways(folder, seed) as city:
        try:
            while time.monotonic() - began_s < seconds:
                await city.round()
        except Misled as error:
            return f"seed {seed}, after {time.monotonic() - began_s:.1f} s: {error}; last: {list(city.done)}"
    return ""


async def both(folder: Path, seconds: float) -> None:
    """Side by side. The seed of a failure is in its message; ``GARDU_SEED`` repeats it."""
    seed = int(os.environ.get("GARDU_SEED") or time.time_ns() % 1_000_000)
    runs = survives(folder, seed, seconds), shows_what_is_true(folder / "city", seed, seconds)
    found = await asyncio.gather(*runs, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    assert not any(found), "\n".join(map(str, filter(None, found)))


async def test_the_agent_and_the_tools_survive_twenty_seconds_of_hostile_messages(tmp_path: Path) -> None:
    await both(tmp_path, 20.0)


@pytest.mark.long
async def test_the_agent_and_the_tools_survive_an_hour_of_hostile_messages(tmp_path: Path) -> None:
    await both(tmp_path, 3600.0)
