"""A thread for blocking calls that can be abandoned if a call never returns."""

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from agent.base.errors import CallTimeout

T = TypeVar("T")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]
_log = logging.getLogger(__name__)


class Worker:
    """One daemon thread that runs calls one after another.

    It is a daemon because ``asyncio.run`` and the interpreter wait for any other thread at exit: a driver that never
    returns must not keep the agent from stopping.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._stuck = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[[], T], timeout_s: float | None = None) -> T:
        """Run ``function`` in the thread and return its result or raise its exception. An exception that would end the
        program or a task, such as :class:`SystemExit`, is raised as a :class:`RuntimeError`.

        Raises :class:`CallTimeout` if the call takes longer than ``timeout_s``. Its result is then dropped, and the
        worker refuses further calls with the same exception.
        """
        if self._stuck:
            raise CallTimeout(self._thread.name)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(_retrieve)
        self._jobs.put((function, future, loop))
        if timeout_s is None:
            return await future
        done, _ = await asyncio.wait((future,), timeout=timeout_s)
        if not done:
            self._stuck = True
            future.cancel()
            self.close()
            raise CallTimeout(self._thread.name)
        return future.result()

    def post(self, function: Callable[[], None]) -> None:
        """Run ``function`` after the calls already queued. Failures are only logged."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        future.add_done_callback(_note_failure)
        self._jobs.put((function, future, loop))

    def close(self) -> None:
        """Let the thread end after the calls already queued. Does not wait."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, future, loop = job
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - passed on to the caller, whatever it is
                _hand_over(loop, _fail, future, _storable(error))
            else:
                _hand_over(loop, _finish, future, result)


def _storable(error: BaseException) -> Exception:
    """Return the error, or a wrapper if the error would break out of the event loop or cannot be stored in a future."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(repr(error))
    wrapped.__cause__ = error
    return wrapped.with_traceback(error.__traceback__)


def _hand_over(loop: asyncio.AbstractEventLoop, settle: Callable[..., None], *args: object) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle, *args)


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """A caller that is cancelled no longer asks for the outcome; asyncio would report the failure as unhandled."""
    if not future.cancelled():
        future.exception()


def _note_failure(future: "asyncio.Future[None]") -> None:
    error = None if future.cancelled() else future.exception()
    if error is not None:
        _log.debug("a posted call failed", exc_info=error)


def _finish(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
