"""Commands from the city: each once, in its own time, answered."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from agent.core import command, wire
from agent.core.account import StreamAccount
from agent.core.command import Command
from agent.core.link import Message
from agent.core.ranges import Ranges
from agent.core.reading import Stamp
from agent.core.refusal import Refused
from agent.core.settings import Commands
from agent.core.text import say

_log = logging.getLogger(__name__)

_KEPT_IDS = 256
_MAX_WAITING = 64
_RESEND_ROWS = 10_000
"""Of one question; a subscriber asks again for the rest."""
_SAME_S = 60.0
_READ_S = 10.0
_IDS = "command.ids"


class Store(Protocol):
    """What commands need of the store."""

    accounts: dict[str, StreamAccount]

    @property
    def ep(self) -> str: ...
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
    def switch(self, on: bool) -> None: ...
    def diagnose(self) -> Mapping[str, Any]: ...


class Renewal(Protocol):
    """What commands need of the gateway's certificate. Raises :class:`Refused`."""

    async def request(self) -> Mapping[str, str]: ...
    async def install(self, pem: str) -> int: ...
    def diagnose(self) -> Mapping[str, object]: ...


class CommandDesk:
    """Takes commands and answers them, one after the other. An :class:`~agent.services.session.Inbox`.

    ``opened`` gives what a signed envelope holds, once it is verified, and ``planned`` what a configuration in one
    would change; both raise :class:`Refused`. ``uplink`` and ``sensors`` are set once they are there.
    """

    def __init__(
        self, store: Store, settings: Commands, topics: wire.Topics, now: Callable[[], Stamp], agent: str,
        opened: Callable[[bytes], Awaitable[bytes]], planned: Callable[[bytes], Awaitable[object]],
        renewal: Renewal,
    ) -> None:  # fmt: skip
        self._store = store
        self._opened = opened
        self._planned = planned
        self._renewal = renewal
        self._settings = settings
        self._topics = topics
        self._now = now
        self._agent = agent
        self._waiting: asyncio.Queue[Command] = asyncio.Queue(_MAX_WAITING)
        self._answers: deque[tuple[str, bytes, bool]] = deque(maxlen=_MAX_WAITING)
        self._resent: dict[tuple[str, int, int], tuple[float, Mapping[str, int]]] = {}
        self._flush = False
        self.uplink: Uplink | None = None
        self.sensors: Mapping[str, Sensor] = {}
        self._does: Mapping[str, Callable[[Command], Awaitable[object]]] = {
            "ping": self._ping, "read": self._read, "flush": self._flush_now, "resend": self._resend,
            "diagnostics": self._diagnostics, "restart": self._restart, "output": self._output, "plan": self._plan,
            "renew": self._renew, "certificate": self._certificate,
        }  # fmt: skip

    def topics(self) -> list[str]:
        """What is to be subscribed to."""
        return [self._topics.commands]

    def take(self, message: Message) -> None:
        """A message came. A retained one is dropped: it is a command for somebody who was there before."""
        if message.retain or not message.payload:
            return
        one = command.read(message.topic.rpartition("/")[2], message.payload)
        if one is None:
            _log.warning(say("a command without a usable id was dropped"))
        elif self._waiting.full():
            self._answer(one, "rejected", "too many commands at once", None)
        else:
            self._waiting.put_nowait(one)

    def answer(self) -> tuple[str, bytes, bool] | None:
        """The next answer to be sent: topic, payload, and whether it is retained."""
        return self._answers.popleft() if self._answers else None

    def flushed(self) -> bool:
        """Whether everything is to be sent at once; true once after a ``flush``."""
        flush, self._flush = self._flush, False
        return flush

    async def run(self) -> None:
        """Carry out commands, for ever."""
        while True:
            one = await self._waiting.get()
            await self._carry_out(one)

    async def _carry_out(self, one: Command) -> None:
        now = self._now()
        try:
            signed = await self._is_signed(one)
        except Refused as error:
            self._answer(one, "rejected", error.message, None)
            return
        allow, needed = self._settings.allow, self._settings.signed
        refusal = command.judge(one, now.t, now.cq > 0, allow, signed, needed)
        if refusal is not None:
            self._answer(one, refusal.status, refusal.detail, None)
            return
        known = self._known_ids()
        if one.id in known:
            self._answer(one, known[one.id], "it was carried out before", None)
            return
        # The id is durable before the effect: after a power cut in between it is not done, and not done twice.
        await self._note(known, one.id, "accepted")
        try:
            status, detail, result = "done", "", await self._does[one.name](one)
        except Refused as error:
            status, detail = "failed", f"{error.code}: {error}"
            result = {"code": error.code, "message": error.message, "path": error.path}
        except (ValueError, LookupError, TimeoutError) as error:
            status, detail, result = "failed", str(error) or type(error).__name__, None
        await self._note(known, one.id, status)
        self._answer(one, status, detail, result)

    async def _is_signed(self, one: Command) -> bool:
        """Whether it came signed. Raises :class:`Refused` where the signature is none that counts here."""
        if not one.sealed:
            return False
        await self._opened(one.sealed)
        if not command.meant(one, self._topics.base.rpartition("/")[2]):
            raise Refused("target", say("this is not for {gateway}", gateway=self._topics.base), "")
        return True

    def _known_ids(self) -> dict[str, str]:
        try:
            known = json.loads(self._store.recall(_IDS) or "{}")
        except ValueError:
            return {}
        return known if isinstance(known, dict) else {}

    async def _note(self, known: dict[str, str], identity: str, status: str) -> None:
        known.pop(identity, None)
        known[identity] = status
        while len(known) > _KEPT_IDS:
            del known[next(iter(known))]
        self._store.remember(_IDS, json.dumps(known))
        await self._store.flush()

    def _answer(self, one: Command, status: str, detail: str, result: object) -> None:
        payload = wire.reply(one.id, one.name, status, detail, result)
        self._answers.append((self._topics.reply(one.id), payload, False))
        if self.uplink is not None:
            self.uplink.wake()

    def _sensor(self, one: Command) -> Sensor:
        name = command.text(one, "sensor")
        if name not in self.sensors:
            raise LookupError(f"there is no sensor {name}")
        return self.sensors[name]

    async def _ping(self, one: Command) -> object:
        return {"t": self._now().t, "agent": self._agent}

    async def _read(self, one: Command) -> object:
        async with asyncio.timeout(_READ_S):
            return dict(await self._sensor(one).measure())

    async def _restart(self, one: Command) -> object:
        self._sensor(one).restart()
        return None

    async def _output(self, one: Command) -> object:
        self._sensor(one).switch(command.level(one, "value"))
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
        stream, ep = command.text(one, "stream"), command.text(one, "ep")
        start, stop = command.number(one, "from"), command.number(one, "to") + 1
        account = self._store.accounts.get(stream)
        if account is None:
            raise LookupError(f"there is no stream {stream}")
        try:
            first, after = account.span(ep)
        except KeyError:
            raise LookupError(f"the stream has no epoch {ep}") from None
        start, stop = max(start, first), min(stop, after, max(start, first) + _RESEND_ROWS)
        loop_s = asyncio.get_running_loop().time()
        self._resent = {key: kept for key, kept in self._resent.items() if loop_s - kept[0] < _SAME_S}
        same = self._resent.get((stream, start, stop))
        if same is not None:
            return same[1]
        there = Ranges(account.gone.gaps(start, stop))
        for pair in there:
            assert self.uplink is not None
            self.uplink.send_again(stream, *pair)
        result = {"sent": there.count(), "gone": max(0, stop - start) - there.count()}
        self._resent[stream, start, stop] = (loop_s, result)
        return result

    async def _diagnostics(self, one: Command) -> object:
        streams: Sequence[tuple[str, StreamAccount]] = sorted(self._store.accounts.items())
        return {
            "agent": self._agent,
            "clock": self._now().cq,
            "certificate": self._renewal.diagnose(),
            "unsettled": self._store.unsettled(),
            "streams": {name: {"next": account.next, "lo": account.lo(account.ep)} for name, account in streams},
            "sensors": {name: dict(one.diagnose()) for name, one in self.sensors.items()},
        }
