"""Try again, for ever: one place for how the agent's loops come back after a failure."""

from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type


async def persist(
    hold: Callable[[], Awaitable[None]],
    on: type[Exception],
    wait: Callable[[RetryCallState], float],
    tell: Callable[[BaseException], None],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Call ``hold`` again after each ``on``, ``wait`` seconds later, until it returns.

    tenacity counts from new at each call: let ``hold`` open something and hold it, and return only when it was
    stable, then only that resets the backoff. ``tell`` hears of each failure. Any other exception passes through.
    """

    def told(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            tell(error)

    await AsyncRetrying(retry=retry_if_exception_type(on), wait=wait, before_sleep=told, sleep=sleep)(hold)
