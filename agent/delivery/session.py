"""One session with the broker: introduce the gateway, deliver, keep the timers, shut down."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.base.codes import LogCode, log_extra
from agent.base.events import rows_lost
from agent.base.i18n import _
from agent.delivery import context, wire
from agent.delivery.connection import ConnectionLost, Message
from agent.delivery.context import DeliveryContext
from agent.delivery.policies.retained_streams import RetainedStreams
from agent.delivery.scheduler import Delivery
from agent.store.unsettled_rows import LOST_EPOCH

_log = logging.getLogger(__name__)

_BASE = "topics.base"
_MAX_CLEAR_ATTEMPTS = 2


class Unacknowledged(ConnectionLost):
    """The broker did not acknowledge in time: reconnect with a smaller window."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """What a session must know about earlier ones. ``careful``: the last one ended because nothing was acknowledged.
    ``first``: no session of this uplink has introduced the gateway yet."""

    careful: bool
    first: bool


class Store(context.Store, Protocol):
    """The part of the store that a session uses."""

    @property
    def epoch(self) -> str: ...
    async def begin_epoch(self, why: str) -> None: ...
    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...


class Connection(context.Connection, Protocol):
    """The part of a connection that a session uses."""

    on_ack: Callable[[int, int], None]
    on_message: Callable[[Message], None]

    async def subscribe(self, topics: list[str]) -> None: ...
    async def lost(self) -> ConnectionLost: ...
    async def close(self, timeout_s: float = 1.0) -> None: ...


class Inbox(Protocol):
    """Handles messages from the city and supplies the answers."""

    def topics(self) -> list[str]: ...
    def handle(self, message: Message) -> None: ...
    def answer(self) -> tuple[str, bytes, bool] | None: ...
    def flushed(self) -> bool: ...


class Session:
    """One session. ``wake`` is set when the session has work: a commit, an acknowledgement, or a request to stop."""

    def __init__(
        self,
        context: DeliveryContext[Store],
        link: Connection,
        inbox: Inbox,
        wake: asyncio.Event,
        beginning: SessionStart,
    ) -> None:
        self._store = context.store
        self._lane = context.lane
        self._identity = context.identity
        self._timings = context.timings
        self._now_s = context.clocks.now_s
        self._link = link
        self._inbox = inbox
        self._wake = wake
        self._first = beginning.first
        self.introduced = False
        self.progressed = False
        """True if the broker has acknowledged rows in this session."""
        self.saw_foreign_state = False
        """True if somebody else wrote this gateway's ``state`` before this session."""
        self.on_proof: Callable[[bool], None] = lambda telemetry: None
        """Called when the broker acknowledges telemetry (``True``), or returns our own state (``False``)."""
        self.last_step_s = self._now_s()
        """When it did its last step (loop seconds). Each wake causes a step."""
        self._delivery = Delivery(context, link, beginning.careful)
        self._publisher = self._delivery.publisher
        self._awaited: dict[int, asyncio.Future[int]] = {}
        self._state = b""
        self._echoed = False
        self._cleared = False
        self._repeat_from_s = 0.0
        self._retained_streams = b""
        self._last_streams = b""
        self._streams_due_s = 0.0
        self._streams_epoch = ""
        link.on_ack = self._on_ack
        link.on_message = self._on_message

    async def run(self, stopping: Callable[[], float | None]) -> None:
        """Introduce the gateway and deliver. Returns after shutting down, once ``stopping`` returns a deadline (loop
        seconds). Raises :class:`ConnectionLost`."""
        lost = asyncio.create_task(self._link.lost(), name="link")
        lost.add_done_callback(lambda _: self._wake.set())
        try:
            await self._introduce(lost)
            while (deadline_s := stopping()) is None:
                self._check(lost)
                self.last_step_s = self._now_s()
                due_s = await self._delivery.send(flush=self._inbox.flushed())
                self._answer()
                self._publish_streams_if_due()
                await self._sleep_until(min(due_s, self._ack_due_s(), self._streams_due_s))
            await self._shut_down(lost, deadline_s)
        except ConnectionLost:
            self._delivery.on_connection_lost()
            raise
        finally:
            lost.cancel()

    async def _introduce(self, lost: "asyncio.Task[ConnectionLost]") -> None:
        topics = self._identity.topics
        await self._link.subscribe([topics.state, topics.streams, *self._inbox.topics()])
        self._state = self._identity.state(self._store.epoch, online=True, reason="start")
        # Once the state is acknowledged, the broker's retained messages have arrived too: it answers in order.
        await self._publish_retained(lost, topics.state, self._state)
        retained = RetainedStreams.parse(self._retained_streams) if self._first else RetainedStreams()
        self._report_lost(retained)
        if retained.is_ahead(self._store.epoch, self._store.accounts):
            _log.warning(
                _("the broker has newer sequence numbers than the store; starting a new epoch"),
                extra=log_extra(LogCode.NEW_EPOCH),
            )
            await self._store.begin_epoch("behind_broker")
            self._state = self._identity.state(self._store.epoch, online=True, reason="start")
            await self._publish_retained(lost, topics.state, self._state)
        await self._publish_retained(lost, topics.meta, self._identity.meta())
        await self._publish_retained(lost, topics.streams, self._streams())
        self._repeat_from_s = self._now_s()
        self.introduced = True
        await self._clear_old_path(lost)

    async def _clear_old_path(self, lost: "asyncio.Task[ConnectionLost]") -> None:
        """Clear the retained messages at the gateway's previous path. Tried twice: a broker may end the connection at a
        path that is not the gateway's any more."""
        before = self._store.recall(_BASE)
        if before not in ("", self._identity.topics.base) and self._lane.clear_attempts < _MAX_CLEAR_ATTEMPTS:
            self._lane.clear_attempts += 1
            old = wire.Topics(before)
            for topic in (old.state, old.meta, old.streams, old.reported):
                await self._publish_retained(lost, topic, b"")
        self._cleared = True
        self._remember_path()

    def _remember_path(self) -> None:
        """Remember the path once our own state has come back: it is in use, and must be cleared if it changes."""
        base = self._identity.topics.base
        if self._echoed and self._cleared and self._store.recall(_BASE) != base:
            self._store.remember(_BASE, base)

    async def _publish_retained(self, lost: "asyncio.Task[ConnectionLost]", topic: str, payload: bytes) -> None:
        """Publish a retained message and wait for the acknowledgement. A topic at which the broker repeatedly ends the
        connection is skipped for a while."""
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
        if not answered.done() and poison.on_topic_lost(topic, self._now_s()):
            line = _("the broker closes the connection when {topic} is published; skipping it for now").format(
                topic=topic
            )
            _log.error(line, extra=log_extra(LogCode.PUBLISH_REFUSED))
        self._check(lost)
        if not answered.done():
            raise Unacknowledged(_("the broker does not acknowledge"))
        poison.on_topic_answered(topic)
        if answered.result() and payload:
            code = answered.result()
            line = _("the broker refuses {topic} (reason 0x{code:02x}): check its ACL").format(topic=topic, code=code)
            _log.error(line, extra=log_extra(LogCode.PUBLISH_REFUSED))

    def _report_lost(self, retained: RetainedStreams) -> None:
        """Report the rows that only the memory of a crashed agent held, as far as they were announced."""
        if retained.epoch == self._store.recall(LOST_EPOCH):
            return
        lost = list(retained.lost(self._store.accounts))
        for rows in lost:
            self._store.announce(rows_lost(*rows, "memory"))
        if lost:
            self._store.remember(LOST_EPOCH, retained.epoch)

    def _streams(self) -> bytes:
        self._last_streams = self._identity.streams(self._store.epoch, self._store.accounts)
        self._streams_due_s, self._streams_epoch = self._now_s() + self._timings.streams_s, self._store.epoch
        return self._last_streams

    def _publish_streams_if_due(self) -> None:
        if (
            self._now_s() >= self._streams_due_s or self._streams_epoch != self._store.epoch
        ) and self._delivery.window.has_room(late=False):
            before = self._last_streams
            if _numbers(self._streams()) != _numbers(before):
                self._publisher.announce(self._identity.topics.streams, self._last_streams, retain=True)

    def _answer(self) -> None:
        """Send the waiting answers while there is room."""
        while self._delivery.window.has_room(late=False) and (answer := self._inbox.answer()) is not None:
            self._publisher.announce(*answer)

    def _check(self, lost: "asyncio.Task[ConnectionLost]") -> None:
        if lost.done():
            raise lost.result()
        self._delivery.skip_unacknowledged(self._now_s() - self._timings.ack_s)
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

    async def _shut_down(self, lost: "asyncio.Task[ConnectionLost]", deadline_s: float) -> None:
        while self._delivery.has_live() and self._now_s() < deadline_s - self._timings.goodbye_s:
            self._check(lost)
            await self._delivery.send(flush=True)
            await self._sleep_until(min(deadline_s - self._timings.goodbye_s, self._ack_due_s()))
        self._state = self._identity.state(self._store.epoch, online=False, reason="shutdown")
        try:
            async with asyncio.timeout(deadline_s - self._now_s()):
                await self._publish_retained(lost, self._identity.topics.streams, self._streams())
                await self._publish_retained(lost, self._identity.topics.state, self._state)
                await self._link.close()
        except TimeoutError:
            _log.warning(
                _("the broker did not acknowledge the final messages in time"),
                extra=log_extra(LogCode.FINAL_MESSAGES_LOST),
            )

    def _on_ack(self, mid: int, failure: int) -> None:
        stream = self._delivery.on_ack(mid, failure)
        self.progressed = self.progressed or bool(stream)
        if stream.startswith("telemetry/"):
            self.on_proof(True)
        awaited = self._awaited.pop(mid, None)
        if awaited is not None and not awaited.done():
            awaited.set_result(failure)
        self._wake.set()

    def _on_message(self, message: Message) -> None:
        if message.topic == self._identity.topics.state and message.payload == self._state:
            self.on_proof(False)
            self._echoed = True
            self._remember_path()
        if message.topic == self._identity.topics.streams:
            if not self._last_streams:
                self._retained_streams = message.payload
        elif message.topic != self._identity.topics.state:
            self._inbox.handle(message)
        elif not self._repeat_from_s:
            self.saw_foreign_state = self.saw_foreign_state or (
                bool(message.payload) and not self._identity.is_own(message.payload)
            )
        elif self._repeat_from_s and message.payload != self._state and self._now_s() >= self._repeat_from_s:
            # A late Will, or somebody else: correct the retained state.
            self._repeat_from_s = self._now_s() + self._timings.repeat_state_s
            self._publisher.announce(self._identity.topics.state, self._state, retain=True)


def _numbers(streams: bytes) -> tuple[object, object]:
    message = wire.decode(streams)
    return message["ep"], message["streams"]
