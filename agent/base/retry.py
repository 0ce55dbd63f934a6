"""Trying again for ever: the one place that decides how the agent's loops come back after a failure."""

from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type


async def retry_forever(
    hold: Callable[[], Awaitable[None]],
    on: type[Exception],
    wait: Callable[[RetryCallState], float],
    report: Callable[[BaseException], None],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Call ``hold`` again after each ``on``, ``wait`` seconds later, until it returns.

    tenacity counts attempts from zero at each call: let ``hold`` open something and hold it, and return only once it
    was stable, so that only a stable connection resets the backoff. ``report`` is called with each failure. Any other
    exception passes through.
    """

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            report(error)

    await AsyncRetrying(retry=retry_if_exception_type(on), wait=wait, before_sleep=before_sleep, sleep=sleep)(hold)
