"""A thread for calls that block."""

import asyncio
import gc
import threading

import pytest

from agent.base.errors import CallTimeout
from agent.base.io.worker import Worker


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


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(), asyncio.CancelledError()])
async def test_what_would_end_the_program_is_an_error_of_the_call_alone(error: BaseException) -> None:
    def fail() -> None:
        raise error

    worker = Worker("test")
    with pytest.raises(RuntimeError, match=type(error).__name__):
        await worker.call(fail)
    worker.close()


async def test_a_posted_call_is_run_and_not_waited_for() -> None:
    worker = Worker("test")
    ran = threading.Event()
    worker.post(ran.set)
    worker.close()
    assert await asyncio.to_thread(ran.wait, 5)


async def test_a_call_that_does_not_return_is_left_behind() -> None:
    worker = Worker("test")
    release = threading.Event()
    with pytest.raises(CallTimeout):
        await worker.call(release.wait, 0.05)
    with pytest.raises(CallTimeout):
        await worker.call(lambda: 5, 5.0)
    release.set()
    await asyncio.to_thread(worker._thread.join, 5)
    assert not worker._thread.is_alive(), "a thread that comes back after all ends"


@pytest.mark.parametrize("timeout_s", [None, 5.0])
async def test_a_failure_that_its_caller_does_not_wait_for_any_more_is_no_error_of_the_loop(
    timeout_s: float | None,
) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    worker = Worker("test")
    begun, release = threading.Event(), threading.Event()

    def fail() -> None:
        begun.set()
        release.wait(5)
        raise ZeroDivisionError

    calling = asyncio.create_task(worker.call(fail, timeout_s))
    assert await asyncio.to_thread(begun.wait, 5)
    calling.cancel()
    await asyncio.wait((calling,))
    del calling
    release.set()
    assert await worker.call(lambda: 5) == 5, "the thread goes on"
    gc.collect()
    assert reported == []
    worker.close()
