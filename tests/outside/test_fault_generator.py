"""Disk faults x broker faults x moments: every reading that was accepted arrives, or is counted."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.outside.fault_judge import Violation
from tests.outside.fault_mix import FaultMix

GATEWAYS = 3


async def keeps_its_promise(folder: Path, seed: int, seconds: float) -> str:
    """Strike one gateway for so long, then judge; what was broken, empty where nothing was. The seed of a failure is in
    its text; ``GARDU_SEED`` repeats."""
    began_s = time.monotonic()
    async with FaultMix(folder, seed) as mix:
        try:
            while time.monotonic() - began_s < seconds:
                await mix.strike()
            await mix.judge()
        except Violation as error:
            return f"seed {seed}: {error}; done: {list(mix.done)}"
    return ""


async def several(folder: Path, seconds: float) -> None:
    """Some gateways side by side. One that breaks a promise does not end the others: each closes what it opened."""
    seed = int(os.environ.get("GARDU_SEED") or time.time_ns() % 1_000_000)
    mixes = [keeps_its_promise(folder / str(at), seed + at, seconds) for at in range(GATEWAYS)]
    found = await asyncio.gather(*mixes, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    assert not any(found), "\n".join(map(str, filter(None, found)))


async def test_nothing_is_lost_uncounted_in_twenty_seconds_of_faults(tmp_path: Path) -> None:
    await several(tmp_path, 20.0)


@pytest.mark.long
async def test_nothing_is_lost_uncounted_in_an_hour_of_faults(tmp_path: Path) -> None:
    """Sixty times a minute of faults: each is judged."""
    began_s = time.monotonic()
    for number in range(60):
        if time.monotonic() - began_s < 3600:
            await several(tmp_path / str(number), 40.0)
