"""One session with the broker: introduce the gateway, deliver, keep the timers, say goodbye."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.base.codes import LogCode, log_extra
from agent.base.i18n import _
from agent.delivery import context, wire
from agent.delivery.connection import ConnectionLost, Message
from agent.delivery.context import DeliveryContext
from agent.delivery.scheduler import Delivery

_log = logging.getLogger(__name__)

_BASE = "topics.base"
_CLEARINGS = 2


class Unacknowledged(ConnectionLost):
    """The broker did not acknowledge in time: come back with a smaller window."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a session has to know of those before it. ``careful``: the last one ended because nothing was acknowledged.
    ``first``: none of this uplink has introduced the gateway yet."""

    careful: bool
    first: bool


class Store(context.Store, Protocol):
    """What a session needs of the store."""

    @property
    def epoch(self) -> str: ...
    async def begin_epoch(self, why: str) -> None: ...
    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...


class Connection(context.Connection, Protocol):
    """What a session needs of a connection."""

    on_ack: Callable[[int, int], None]
    on_message: Callable[[Message], None]

    async def subscribe(self, topics: list[str]) -> None: ...
    async def lost(self) -> ConnectionLost: ...
    async def close(self, timeout_s: float = 1.0) -> None: ...


class Inbox(Protocol):
    """What becomes of messages from the city, and what is to be answered."""

    def topics(self) -> list[str]: ...
    def take(self, message: Message) -> None: ...
    def answer(self) -> tuple[str, bytes, bool] | None: ...
    def flushed(self) -> bool: ...


class Session:
    """``wake`` is set by whoever has something for the session: a commit, an acknowledgement, the wish to stop."""

    def __init__(
        self, context: DeliveryContext[Store], link: Connection, inbox: Inbox, wake: asyncio.Event, beginning: Beginning
    ) -> None:
        self._store = context.store
        self._lane = context.lane
        self._presence = context.presence
        self._timings = context.timings
        self._now_s = context.clocks.now_s
        self._link = link
        self._inbox = inbox
        self._wake = wake
        self._first = beginning.first
        self.introduced = False
        self.progressed = False
        """Whether the broker has acknowledged rows in this session."""
        self.foreign = False
        """Whether somebody else wrote this gateway's ``state`` before this session."""
        self.on_proof: Callable[[bool], None] = lambda telemetry: None
        """Called when the broker acknowledges telemetry (``True``), or sends our own state back (``False``)."""
        self.moved_s = self._now_s()
        """When it did its last step. Each wake makes it do one."""
        self._delivery = Delivery(context, link, beginning.careful)
        self._publisher = self._delivery.publisher
        self._awaited: dict[int, asyncio.Future[int]] = {}
        self._state = b""
        self._echoed = False
        self._cleared = False
        self._repeat_from_s = 0.0
        self._kept_streams = b""
        self._told_streams = b""
        self._streams_due_s = 0.0
        link.on_ack = self._on_ack
        link.on_message = self._on_message

    async def run(self, stopping: Callable[[], float | None]) -> None:
        """Introduce and deliver. Returns after the goodbye, when ``stopping`` gives a time by which to have ended
        (loop seconds). Raises :class:`ConnectionLost`."""
        lost = asyncio.create_task(self._link.lost(), name="link")
        lost.add_done_callback(lambda _: self._wake.set())
        try:
            await self._introduce(lost)
            while (deadline_s := stopping()) is None:
                self._check(lost)
                self.moved_s = self._now_s()
                due_s = await self._delivery.send(flush=self._inbox.flushed())
                self._answer()
                self._tell_streams_if_due()
                await self._sleep_until(min(due_s, self._ack_due_s(), self._streams_due_s))
            await self._goodbye(lost, deadline_s)
        except ConnectionLost:
            self._delivery.lost()
            raise
        finally:
            lost.cancel()

    async def _introduce(self, lost: "asyncio.Task[ConnectionLost]") -> None:
        topics = self._presence.topics
        await self._link.subscribe([topics.state, topics.streams, *self._inbox.topics()])
        self._state = self._presence.state(self._store.epoch, online=True, reason="start")
        # Once the state is acknowledged, what the broker had kept for us has come as well: it answers in order.
        await self._say(lost, topics.state, self._state)
        if self._first and self._is_ahead(self._kept_streams):
            _log.warning(
                _("the broker has newer sequence numbers than the store; starting a new epoch"),
                extra=log_extra(LogCode.NEW_EPOCH),
            )
            await self._store.begin_epoch("behind_broker")
            self._state = self._presence.state(self._store.epoch, online=True, reason="start")
            await self._say(lost, topics.state, self._state)
        await self._say(lost, topics.meta, self._presence.meta())
        await self._say(lost, topics.streams, self._streams())
        self._repeat_from_s = self._now_s()
        self.introduced = True
        await self._clear_old_path(lost)

    async def _clear_old_path(self, lost: "asyncio.Task[ConnectionLost]") -> None:
        """Clear what stands retained where this gateway published before its path changed. Tried twice: a broker may
        end the connection at a path that is not the gateway's any more."""
        before = self._store.recall(_BASE)
        if before not in ("", self._presence.topics.base) and self._lane.clearings < _CLEARINGS:
            self._lane.clearings += 1
            old = wire.Topics(before)
            for topic in (old.state, old.meta, old.streams, old.reported):
                await self._say(lost, topic, b"")
        self._cleared = True
        self._remember_path()

    def _remember_path(self) -> None:
        """Our own state came back: the path is in use, and to be cleared if it changes."""
        base = self._presence.topics.base
        if self._echoed and self._cleared and self._store.recall(_BASE) != base:
            self._store.remember(_BASE, base)

    async def _say(self, lost: "asyncio.Task[ConnectionLost]", topic: str, payload: bytes) -> None:
        """Publish retained and wait for the acknowledgement. A topic at which the broker ends the connection again and
        again is left out for a while."""
        poison = self._lane.poison
        if poison.paused_until_s(topic) > self._now_s():
            return
        if not self._publisher.fits(payload):
            line = _("cannot publish {topic}: the broker does not accept messages of {count} bytes").format(
                topic=topic, count=len(payload)
            )
            _log.error(line, extra=log_extra(LogCode.MESSAGE_TOO_LARGE))
            return
        mid = self._publisher.announce(topic, payload, retain=True)
        answered = self._awaited[mid] = asyncio.get_running_loop().create_future()
        await asyncio.wait((answered, lost), timeout=self._timings.ack_s, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done() and poison.topic_lost(topic, self._now_s()):
            line = _("the broker closes the connection when {topic} is published; skipping it for now").format(
                topic=topic
            )
            _log.error(line, extra=log_extra(LogCode.PUBLISH_REFUSED))
        self._check(lost)
        if not answered.done():
            raise Unacknowledged(_("the broker does not acknowledge"))
        poison.topic_heard(topic)
        if answered.result() and payload:
            code = answered.result()
            line = _("the broker refuses {topic} (reason 0x{code:02x}): check its ACL").format(topic=topic, code=code)
            _log.error(line, extra=log_extra(LogCode.PUBLISH_REFUSED))

    def _is_ahead(self, kept: bytes) -> bool:
        """Whether the broker has seen numbers of this epoch that the store has not given."""
        try:
            message = wire.decode(kept)
        except wire.WireError:
            return False
        numbers = message.get("streams")
        if message.get("ep") != self._store.epoch or not isinstance(numbers, Mapping):
            return False
        for name, one in numbers.items():
            account = self._store.accounts.get(name)
            following = one.get("next") if isinstance(one, Mapping) else None
            if isinstance(following, int) and following > (account.next if account else 1):
                return True
        return False

    def _streams(self) -> bytes:
        self._told_streams = self._presence.streams(self._store.epoch, self._store.accounts)
        self._streams_due_s = self._now_s() + self._timings.streams_s
        return self._told_streams

    def _tell_streams_if_due(self) -> None:
        if self._now_s() >= self._streams_due_s and self._delivery.window.room(late=False):
            before = self._told_streams
            if wire.decode(self._streams())["streams"] != wire.decode(before)["streams"]:
                self._publisher.announce(self._presence.topics.streams, self._told_streams, retain=True)

    def _answer(self) -> None:
        """Send the answers that wait, as far as there is room."""
        while self._delivery.window.room(late=False) and (answer := self._inbox.answer()) is not None:
            self._publisher.announce(*answer)

    def _check(self, lost: "asyncio.Task[ConnectionLost]") -> None:
        if lost.done():
            raise lost.result()
        self._delivery.pass_over(self._now_s() - self._timings.ack_s)
        if self._now_s() >= self._ack_due_s():
            raise Unacknowledged(_("the broker does not acknowledge"))

    def _ack_due_s(self) -> float:
        oldest_s = self._delivery.window.oldest_s()
        return self._now_s() + 3600.0 if oldest_s is None else oldest_s + self._timings.ack_s

    async def _sleep_until(self, due_s: float) -> None:
        timer = asyncio.get_running_loop().call_later(due_s - self._now_s(), self._wake.set)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()

    async def _goodbye(self, lost: "asyncio.Task[ConnectionLost]", deadline_s: float) -> None:
        while self._delivery.live_left() and self._now_s() < deadline_s - self._timings.goodbye_s:
            self._check(lost)
            await self._delivery.send(flush=True)
            await self._sleep_until(min(deadline_s - self._timings.goodbye_s, self._ack_due_s()))
        self._state = self._presence.state(self._store.epoch, online=False, reason="shutdown")
        try:
            async with asyncio.timeout(deadline_s - self._now_s()):
                await self._say(lost, self._presence.topics.streams, self._streams())
                await self._say(lost, self._presence.topics.state, self._state)
                await self._link.close()
        except TimeoutError:
            _log.warning(
                _("the broker did not acknowledge the final messages in time"),
                extra=log_extra(LogCode.FINAL_MESSAGES_LOST),
            )

    def _on_ack(self, mid: int, failure: int) -> None:
        stream = self._delivery.acknowledged(mid, failure)
        self.progressed = self.progressed or bool(stream)
        if stream.startswith("telemetry/"):
            self.on_proof(True)
        awaited = self._awaited.pop(mid, None)
        if awaited is not None and not awaited.done():
            awaited.set_result(failure)
        self._wake.set()

    def _on_message(self, message: Message) -> None:
        if message.topic == self._presence.topics.state and message.payload == self._state:
            self.on_proof(False)
            self._echoed = True
            self._remember_path()
        if message.topic == self._presence.topics.streams:
            if not self._told_streams:
                self._kept_streams = message.payload
        elif message.topic != self._presence.topics.state:
            self._inbox.take(message)
        elif not self._repeat_from_s:
            self.foreign = self.foreign or (bool(message.payload) and not self._presence.is_own(message.payload))
        elif self._repeat_from_s and message.payload != self._state and self._now_s() >= self._repeat_from_s:
            # A Will that came late, or somebody else: what stands there must be true.
            self._repeat_from_s = self._now_s() + self._timings.repeat_state_s
            self._publisher.announce(self._presence.topics.state, self._state, retain=True)
