"""How long a generator needs to find a defect whose fix is taken out (:mod:`tests.outside.without`).

``python -m tests.outside.hunt hostile 1 2 3 --seconds 120 --seeds 3`` prints a line for each.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from tests.outside.fault_judge import Violation
from tests.outside.fault_mix import FaultMix
from tests.outside.hostile_feed import HostileFeed, Unwell
from tests.outside.stolen_gateways import Misled, StolenGateways


async def hostile(without: str, seed: int, seconds: float) -> str:
    """Feed an agent without a fix; what was found, empty where nothing was."""
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.monotonic()
        environ = {"WITHOUT": without}
        async with HostileFeed(Path(folder), seed, "tests.outside.without", environ) as feed:
            try:
                while time.monotonic() - began_s < seconds:
                    await feed.round()
            except Unwell as error:
                return str(error)
    return ""


async def tools(without: str, seed: int, seconds: float) -> str:
    """Let stolen gateways speak to the tools without a fix; what was found."""
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.monotonic()
        async with StolenGateways(Path(folder), seed, "tests.outside.without", {"WITHOUT": without}) as city:
            try:
                while time.monotonic() - began_s < seconds:
                    await city.round()
            except Misled as error:
                return str(error)
    return ""


async def mix(without: str, seed: int, seconds: float) -> str:
    """Strike three gateways at a time without a fix, each for 20 s and then judged, until one breaks a promise."""
    end_s = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end_s:
            mixes = {asyncio.create_task(_judged(Path(folder) / str(seed + at), seed + at, without)) for at in range(3)}
            try:
                while mixes:
                    ended, mixes = await asyncio.wait(mixes, return_when=asyncio.FIRST_COMPLETED)
                    if found := "; ".join(filter(None, (one.result() for one in ended))):
                        return found
            finally:
                for one in mixes:
                    one.cancel()
                await asyncio.gather(*mixes, return_exceptions=True)
            seed += 1000
    return ""


async def _judged(folder: Path, seed: int, without: str) -> str:
    began_s = time.monotonic()
    try:
        async with FaultMix(folder, seed, environ={"WITHOUT": without}) as one:
            while time.monotonic() - began_s < 20.0:
                await one.strike()
            await one.judge()
    except Violation as error:
        return str(error)
    return ""


GENERATORS = {"hostile": hostile, "tools": tools, "mix": mix}


def main() -> None:
    """Print, for each defect and seed, after how many seconds it was found, and by what."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("generator", choices=sorted(GENERATORS))
    parser.add_argument("without", nargs="*", default=[""])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    for without in args.without:
        for seed in range(args.seeds):
            began_s = time.monotonic()
            found = asyncio.run(GENERATORS[args.generator](without, seed, args.seconds))
            took_s = time.monotonic() - began_s
            print(f"{without or 'none'} seed {seed}: {took_s:.1f} s: {found[:150] or 'not found'}", flush=True)


if __name__ == "__main__":
    main()
