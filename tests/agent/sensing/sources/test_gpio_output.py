"""Lines that are driven: set by a command, read back, off at the end."""

from collections.abc import AsyncIterator, Mapping

import pytest

from drivers.sdk.contract import Item
from tests.agent.sensing.fakes import Hang
from tests.agent.sensing.sources.bench import Bench
from tests.agent.sensing.sources.gpio_fakes import Counter, Ports, contact, start


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench.over(Ports) as bench:
        yield bench


async def test_an_output_is_driven_low_at_first_and_at_the_end(bench: Bench) -> None:
    runner = await start(bench, contact(output=True))
    assert bench.ports.requests[0][2] == 0
    await runner.switch(True)
    await bench.stop()
    assert bench.ports.lines[0].levels() == {"line": 0}


async def test_an_output_is_set_and_its_state_is_published_at_once_as_it_is_read_back(bench: Bench) -> None:
    siren = await start(bench, contact(output=True))
    for on in (False, True, True):
        await siren.switch(on)
    assert bench.ports.lines[0].levels() == {"line": 1}
    bench.ports.lines[0].stuck = True
    await siren.switch(False)
    assert bench.fakes.rows()[1:] == [{"state": state} for state in (False, True, True, True)]
    assert all(one.urgent for one in bench.fakes.store.appended)


async def test_what_cannot_be_set_says_why(bench: Bench) -> None:
    with pytest.raises(LookupError, match="a is not an output"):
        await (await start(bench)).switch(True)
    bench.ports.absent = True
    siren = await start(bench, contact(output=True))
    with pytest.raises(LookupError, match="a is not available now"):
        await siren.switch(True)
    bench.ports.absent = False
    await bench.time.advance(5.0)
    bench.ports.lines[1].gone = True
    with pytest.raises(LookupError, match="the chip is gone"):
        await siren.switch(True)
    await bench.stop()
    with pytest.raises(LookupError, match="a is not available now"):
        await siren.switch(True)


async def test_an_output_whose_driver_hangs_says_so(bench: Bench) -> None:
    class Stuck(Counter):
        def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
            if levels["line"] and at_s > 1000.0:
                raise Hang
            return []

    siren = await start(bench, contact(output=True, inline=False, edges=lambda options: Stuck()))
    await bench.time.advance(1.0)
    switching = bench.go(siren.switch(True))
    await bench.time.advance(5.0)
    with pytest.raises(LookupError, match="driver contact did not return within 5 s"):
        await switching
