"""Retries forever: the one place that decides how the agent's loops recover from a failure."""

from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type


async def retry_forever(
    hold: Callable[[], Awaitable[None]],
    on: type[Exception],
    wait: Callable[[RetryCallState], float],
    report: Callable[[BaseException], None],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Call ``hold`` again ``wait`` seconds after each ``on``, until it returns.

    tenacity counts attempts from zero at each call: let ``hold`` open a connection and hold it, and return only after
    it was stable, so that only a stable connection resets the backoff. ``report`` is called with each failure. Any
    other exception propagates.
    """

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            report(error)

    await AsyncRetrying(retry=retry_if_exception_type(on), wait=wait, before_sleep=before_sleep, sleep=sleep)(hold)
