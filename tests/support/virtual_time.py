"""An event loop whose time passes at once: what waits for a minute is woken as soon as nothing else is left to do.

For services that measure by the loop's time and wait for nothing outside of the test: neither for threads nor for
processes. Tests ask for it with ``pytestmark = pytest.mark.virtual_time``.
"""

import asyncio
import selectors


class _NoWaiting(selectors.DefaultSelector):
    """Where nothing has happened outside, the time that was to be waited for has passed. ``passed_s``: so far."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(timeout if timeout is None else 0)
        if not events and timeout is not None:
            self.passed_s += max(0.0, timeout)
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its :meth:`time` begins at 1000 s."""

    def __init__(self) -> None:
        self._waiting = _NoWaiting()
        super().__init__(self._waiting)

    def time(self) -> float:
        return 1000.0 + self._waiting.passed_s
