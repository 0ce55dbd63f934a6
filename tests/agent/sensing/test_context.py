"""Time as the event loop has it."""

import asyncio

from agent.sensing.context import LoopTime


async def test_it_is_the_loop_s_time() -> None:
    loop = asyncio.get_running_loop()
    time, called = LoopTime(), asyncio.Event()
    assert loop.time() <= time.now_s() <= loop.time()
    time.call_later(3600.0, called.set).cancel()
    time.call_later(0.0, called.set)
    await called.wait()
    before_s = time.now_s()
    await time.sleep(0.001)
    assert time.now_s() > before_s
