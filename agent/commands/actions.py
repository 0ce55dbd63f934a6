"""What each command does, and what it gives as its result."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from agent.base.ranges import Ranges
from agent.base.status import Status
from agent.base.status_views import diagnostics
from agent.commands import command
from agent.commands.command import Command
from agent.store.stream_account import StreamAccount

_SAME_S = 60.0
_READ_S = 10.0


class Store(Protocol):
    """What commands need of the store."""

    accounts: dict[str, StreamAccount]

    @property
    def epoch(self) -> str: ...
    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...
    async def flush(self) -> None: ...
    def unsettled(self) -> int: ...


class Uplink(Protocol):
    """What commands need of the uplink."""

    def wake(self) -> None: ...
    def send_again(self, stream: str, start: int, stop: int) -> None: ...


class Sensor(Protocol):
    """What commands need of a sensor."""

    async def measure(self) -> Mapping[str, Any]: ...
    def restart(self) -> None: ...
    async def switch(self, on: bool) -> None: ...


class Renewal(Protocol):
    """What commands need of the gateway's certificate. Raises :class:`Refused`."""

    async def request(self) -> Mapping[str, str]: ...
    async def install(self, pem: str) -> int: ...


class CommandActions:
    """``actions``: command name -> what carries it out. It gives the result, or raises :class:`Refused`,
    :class:`ValueError`, :class:`LookupError` or :class:`TimeoutError`, whose text is the reply's ``detail``.

    ``status`` takes a snapshot of the agent; ``planned`` says what a configuration in an envelope would change.
    ``sensors``: those that run now, by id.
    """

    def __init__(
        self,
        store: Store,
        status: Callable[[], Status],
        planned: Callable[[bytes], Awaitable[object]],
        renewal: Renewal,
        uplink: Uplink,
        sensors: Mapping[str, Sensor],
    ) -> None:
        self._store = store
        self._status = status
        self._planned = planned
        self._renewal = renewal
        self._resent: dict[tuple[str, int, int], tuple[float, Mapping[str, int]]] = {}
        self._flush = False
        self._uplink = uplink
        self.sensors = sensors
        self.actions: Mapping[str, Callable[[Command], Awaitable[object]]] = {
            "ping": self._ping,
            "read": self._read,
            "flush": self._flush_now,
            "resend": self._resend,
            "diagnostics": self._diagnostics,
            "restart": self._restart,
            "output": self._output,
            "plan": self._plan,
            "renew": self._renew,
            "certificate": self._certificate,
        }

    def flushed(self) -> bool:
        """Whether everything is to be sent at once; true once after a ``flush``."""
        flush, self._flush = self._flush, False
        return flush

    def _sensor(self, one: Command) -> Sensor:
        name = command.name_of(one, "sensor")
        if name not in self.sensors:
            raise LookupError(f"there is no sensor {name}")
        return self.sensors[name]

    async def _ping(self, one: Command) -> object:
        status = self._status()
        return {"t": status.clock.t_ms, "agent": status.process.release}

    async def _read(self, one: Command) -> object:
        async with asyncio.timeout(_READ_S):
            return dict(await self._sensor(one).measure())

    async def _restart(self, one: Command) -> object:
        self._sensor(one).restart()
        return None

    async def _output(self, one: Command) -> object:
        await self._sensor(one).switch(command.level(one, "value"))
        return None

    async def _plan(self, one: Command) -> object:
        return await self._planned(command.envelope(one, "envelope"))

    async def _renew(self, one: Command) -> object:
        return await self._renewal.request()

    async def _certificate(self, one: Command) -> object:
        return {"not_after": await self._renewal.install(command.text(one, "pem"))}

    async def _flush_now(self, one: Command) -> object:
        await self._store.flush()
        self._flush = True
        return {"unsettled": self._store.unsettled()}

    async def _resend(self, one: Command) -> object:
        stream, epoch = command.name_of(one, "stream"), command.name_of(one, "ep")
        start, stop = command.number(one, "from"), command.number(one, "to") + 1
        account = self._store.accounts.get(stream)
        if account is None:
            raise LookupError(f"there is no stream {stream}")
        try:
            first, after = account.span(epoch)
        except KeyError:
            raise LookupError(f"the stream has no epoch {epoch}") from None
        start, stop = max(start, first), min(stop, after)
        loop_s = asyncio.get_running_loop().time()
        self._resent = {key: kept for key, kept in self._resent.items() if loop_s - kept[0] < _SAME_S}
        same = self._resent.get((stream, start, stop))
        if same is not None:
            return same[1]
        there = Ranges(account.gone.gaps(start, stop))
        for pair in there:
            self._uplink.send_again(stream, *pair)
        result = {"sent": there.count(), "gone": max(0, stop - start) - there.count()}
        self._resent[stream, start, stop] = (loop_s, result)
        return result

    async def _diagnostics(self, one: Command) -> object:
        return diagnostics(self._status())
