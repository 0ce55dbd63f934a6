"""A thread for calls that block, which can be left behind when one never returns."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Overdue(TimeoutError):
    """The call did not return in time; its worker is stuck and takes no more calls."""


class Worker:
    """One daemon thread that runs calls one after the other.

    A daemon, because ``asyncio.run`` and the interpreter wait for any other thread at exit: a driver that never
    returns must not keep the agent from stopping.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._stuck = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[[], T], timeout_s: float | None = None) -> T:
        """Run ``function`` in the thread and give what it returns or raises.

        Raises :class:`Overdue` when it takes longer than ``timeout_s``; its result is then dropped and the worker
        refuses further calls in the same way.
        """
        if self._stuck:
            raise Overdue(self._thread.name)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((function, future, loop))
        if timeout_s is None:
            return await future
        done, _ = await asyncio.wait((future,), timeout=timeout_s)
        if not done:
            self._stuck = True
            self.close()
            raise Overdue(self._thread.name)
        return future.result()

    def close(self) -> None:
        """Let the thread end after the calls it already has. Does not wait."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, future, loop = job
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - handed on to the caller, whatever it is
                _hand_over(loop, _fail, future, error)
            else:
                _hand_over(loop, _finish, future, result)


def _hand_over(loop: asyncio.AbstractEventLoop, settle: Callable[..., None], *args: object) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle, *args)


def _finish(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
