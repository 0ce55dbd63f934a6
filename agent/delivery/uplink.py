"""The way to the broker: connect, hold the session until it breaks, and again."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from tenacity import RetryCallState

from agent.base.codes import LogCode, log_extra
from agent.base.events import client_id_conflict
from agent.base.i18n import _
from agent.base.reading import CommittedRange
from agent.base.retry import retry_forever
from agent.config.settings import Config
from agent.delivery import session
from agent.delivery.clocks import Clocks
from agent.delivery.connection import ConnectionLost, TakenOver
from agent.delivery.context import DeliveryContext
from agent.delivery.dialer import Connect, Dialer
from agent.delivery.identity import GatewayIdentity
from agent.delivery.live_lane import LiveLane
from agent.delivery.policies.backoff import PROOF, Backoff
from agent.delivery.session import Beginning, Session, Unacknowledged
from agent.delivery.timings import DeliveryTimings

_log = logging.getLogger(__name__)


class Store(session.Store, Protocol):
    """What the uplink needs of the store."""

    on_commit: Callable[[Mapping[str, CommittedRange]], None]


class Connection(session.Connection, Protocol):
    """What the uplink needs of a connection."""

    five: bool

    def drop(self) -> None: ...


class Uplink:
    """Delivers the store to the broker while :meth:`run` runs. ``online``: whether a session is up."""

    def __init__(
        self,
        config: Config,
        store: Store,
        connect: Connect[Connection],
        presence: GatewayIdentity,
        generation: Callable[[], int],
        mono_ms: Callable[[], int],
        inbox: session.Inbox,
        backoff: Backoff | None = None,
        timings: DeliveryTimings | None = None,
    ) -> None:
        timings = timings or DeliveryTimings()
        clocks = Clocks(asyncio.get_running_loop().time, mono_ms)
        self._lane = LiveLane(store.accounts, timings)
        self._context = DeliveryContext(store, self._lane, presence, config.publish, timings, clocks)
        self._inbox = inbox
        self._config = config
        self._store = store
        self._dialer = Dialer(config.broker, connect, presence, generation)
        self._wake = asyncio.Event()
        self._deadline_s: float | None = None
        self._tried = False
        self._first = True
        self._careful = False
        self._told = ""
        self._backoff = backoff or Backoff(asyncio.get_running_loop().time())
        self._link: Connection | None = None
        self._anew = False
        self.online = False
        self.sessions = 0
        """How many connections a broker has taken."""
        self.telemetry_acknowledged = False
        """Whether a broker has acknowledged telemetry that this uplink sent."""
        self.echoed = False
        """Whether a broker has sent the gateway's own state back: it delivers what it acknowledges."""
        self._current: Session | None = None
        self._moved_s = asyncio.get_running_loop().time()
        store.on_commit = self._on_commit

    async def run(self) -> None:
        """Connect and deliver until :meth:`stop`; returns when the goodbye was said or its time was over."""
        # One try also where the stop comes first: the city is told that the gateway is off.
        while self._deadline_s is None or not self._tried:
            await retry_forever(self._hold, ConnectionLost, self._wait, self._tell, self._sleep)

    @property
    def moved_s(self) -> float:
        """When its state machine did its last step (loop seconds). Each wake makes it do one, unless it connects."""
        return max(self._moved_s, self._current.moved_s if self._current is not None else 0.0)

    def wake(self) -> None:
        """There is something to send: an answer, or rows that were asked for again."""
        self._wake.set()

    def reconnect(self) -> None:
        """Begin a new connection at once: there is something else to log in with."""
        self._anew = True
        if self._link is not None:
            self._link.drop()

    def send_again(self, stream: str, start: int, stop: int) -> None:
        """Send the rows ``[start, stop)`` of a stream once more, as late ones, with the descriptions that they need:
        whoever asks may not have seen them."""
        self._lane.described.clear()
        self._lane.again[stream].add(start, stop)
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Send what is live, say goodbye and end within ``timeout_s``."""
        self._deadline_s = asyncio.get_running_loop().time() + timeout_s
        self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        """Wait for the next try, or for :meth:`stop`. Commits wake it too, and are none of its business."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds, self._wake.set)
        until_s = loop.time() + seconds
        while self._deadline_s is None and loop.time() < until_s:
            self._moved_s = loop.time()
            self._wake.clear()
            await self._wake.wait()
        timer.cancel()

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return self._backoff.wait_s(error, asyncio.get_running_loop().time())

    def _tell(self, error: BaseException) -> None:
        """One line for each new reason; a broker that stays away is not told of again and again."""
        self._dialer.failed()
        if str(error) != self._told:
            self._told = str(error)
            line = _("not connected: {reason}; keeping readings, retrying").format(reason=error)
            _log.warning(line, extra=log_extra(LogCode.NOT_CONNECTED))

    async def _hold(self) -> None:
        """Connect, and hold the session until it breaks. Raises :class:`ConnectionLost`."""
        self._moved_s = asyncio.get_running_loop().time()
        if self._deadline_s is not None and self._tried:
            return
        self._tried = True
        self._anew = False
        link = self._link = await self._dialer.open(self._store.epoch)
        try:
            if not self._anew:
                await self._session(link)
        except ConnectionLost as error:
            if self._anew:
                return
            self._careful = isinstance(error, Unacknowledged)
            if isinstance(error, TakenOver):
                self._conflict(PROOF)
            raise
        finally:
            self.online = False
            self._link = None
            link.drop()

    def _judge(self, one: Session, began_s: float) -> None:
        """Learn from a session that has ended: whether it worked, and whether somebody else uses this gateway's id."""
        now_s = asyncio.get_running_loop().time()
        if one.progressed or (one.introduced and now_s - began_s >= self._context.timings.stable_s):
            self._backoff.worked(now_s)
            self._dialer.worked()
            self._told = ""
        # The first session of a process finds what the process before it said.
        if one.foreign and self.sessions > 1:
            self._conflict(1)

    def _conflict(self, evidence: int) -> None:
        """Another client seems to use this gateway's id. Brokers that say so (MQTT 5, 0x8E) prove it; with others,
        ``state`` was written by somebody else between two of our sessions."""
        if self._backoff.conflict(evidence, asyncio.get_running_loop().time()):
            gateway = self._config.gateway.id
            self._store.announce(client_id_conflict(gateway))
            line = _(
                "another client uses the id {gateway}: look for a second gateway with this id; "
                "waiting longer between attempts"
            ).format(gateway=gateway)
            _log.error(line, extra=log_extra(LogCode.CLIENT_ID_CONFLICT))

    async def _session(self, link: Connection) -> None:
        one = Session(self._context, link, self._inbox, self._wake, Beginning(self._careful, self._first))
        self.online = True
        self.sessions += 1
        one.on_proof = self._on_proof
        self._current = one
        began_s = asyncio.get_running_loop().time()
        line = _("connected, MQTT {version}").format(version="5" if link.five else "3.1.1")
        _log.info(line, extra=log_extra(LogCode.CONNECTED))
        try:
            await one.run(lambda: self._deadline_s)
        finally:
            self._judge(one, began_s)
            self._first = self._first and not one.introduced
            self._current = None

    def _on_proof(self, telemetry: bool) -> None:
        if telemetry:
            self.telemetry_acknowledged = True
        else:
            self.echoed = True

    def _on_commit(self, fresh: Mapping[str, CommittedRange]) -> None:
        now_s = asyncio.get_running_loop().time()
        mono_ms = self._context.clocks.mono_ms()
        for stream, one in fresh.items():
            wait_s = 0.0 if one.urgent else self._config.publish.max_delay_s - (mono_ms - one.mono_ms) / 1000
            self._lane.fresh(stream, one.start, one.mono_ms, now_s + max(0.0, wait_s))
        self._wake.set()
