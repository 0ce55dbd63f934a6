"""A thread for calls that block."""

import asyncio
import threading

import pytest

from agent.edges.worker import Overdue, Worker


async def test_calls_run_in_order_in_one_thread_and_give_their_results() -> None:
    worker = Worker("test")
    names = await asyncio.gather(*(worker.call(lambda: threading.current_thread().name) for _ in range(3)))
    assert names == ["test"] * 3
    worker.close()


async def test_what_a_call_raises_is_raised_to_the_caller() -> None:
    worker = Worker("test")
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda: 1 // 0)
    assert await worker.call(lambda: 5) == 5, "the thread goes on"
    worker.close()


async def test_a_call_that_does_not_return_is_left_behind() -> None:
    worker = Worker("test")
    release = threading.Event()
    with pytest.raises(Overdue):
        await worker.call(release.wait, 0.05)
    with pytest.raises(Overdue):
        await worker.call(lambda: 5, 5.0)
    release.set()
    await asyncio.to_thread(worker._thread.join, 5)
    assert not worker._thread.is_alive(), "a thread that comes back after all ends"
