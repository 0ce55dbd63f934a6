"""The uplink: connects to the broker, holds the session until it breaks, and reconnects."""

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
from agent.delivery.connection import ConnectionLost, SessionTakenOver
from agent.delivery.context import DeliveryContext
from agent.delivery.dialer import Connect, Dialer
from agent.delivery.identity import GatewayIdentity
from agent.delivery.live_lane import LiveLane
from agent.delivery.policies.backoff import PROOF, Backoff
from agent.delivery.session import Session, SessionStart, Unacknowledged
from agent.delivery.timings import DeliveryTimings

_log = logging.getLogger(__name__)


class Store(session.Store, Protocol):
    """The part of the store that the uplink uses."""

    on_commit: Callable[[Mapping[str, CommittedRange]], None]


class Connection(session.Connection, Protocol):
    """The part of a connection that the uplink uses."""

    mqtt5: bool

    def drop(self) -> None: ...


class Uplink:
    """Delivers the store's rows to the broker while :meth:`run` runs. ``online``: a session is up."""

    def __init__(
        self,
        config: Config,
        store: Store,
        connect: Connect[Connection],
        identity: GatewayIdentity,
        generation: Callable[[], int],
        mono_ms: Callable[[], int],
        inbox: session.Inbox,
        backoff: Backoff | None = None,
        timings: DeliveryTimings | None = None,
    ) -> None:
        timings = timings or DeliveryTimings()
        clocks = Clocks(asyncio.get_running_loop().time, mono_ms)
        self._lane = LiveLane(store.accounts, timings)
        self._context = DeliveryContext(store, self._lane, identity, config.publish, timings, clocks)
        self._inbox = inbox
        self._config = config
        self._store = store
        self._dialer = Dialer(config.broker, connect, identity, generation)
        self._wake = asyncio.Event()
        self._deadline_s: float | None = None
        self._tried = False
        self._first = True
        self._careful = False
        self._last_logged = ""
        self._backoff = backoff or Backoff(asyncio.get_running_loop().time())
        self._link: Connection | None = None
        self._reconnecting = False
        self.online = False
        self.sessions = 0
        """The number of connections accepted by a broker."""
        self.telemetry_acknowledged = False
        """True if a broker has acknowledged telemetry sent by this uplink."""
        self.echoed = False
        """True if a broker has returned the gateway's own state: it delivers what it acknowledges."""
        self._current: Session | None = None
        self._last_step_s = asyncio.get_running_loop().time()
        store.on_commit = self._on_commit

    async def run(self) -> None:
        """Connect and deliver until :meth:`stop`; returns after the final messages, or when their time has run out."""
        # Try once even if the stop comes first: subscribers learn that the gateway is off.
        while self._deadline_s is None or not self._tried:
            await retry_forever(self._hold, ConnectionLost, self._wait, self._log_once, self._sleep)

    @property
    def last_step_s(self) -> float:
        """When the state machine did its last step (loop seconds). Each wake causes a step, except while connecting."""
        return max(self._last_step_s, self._current.last_step_s if self._current is not None else 0.0)

    def wake(self) -> None:
        """Wake the session: there is an answer, or there are rows to resend."""
        self._wake.set()

    def reconnect(self) -> None:
        """Reconnect at once: the credentials have changed."""
        self._reconnecting = True
        if self._link is not None:
            self._link.drop()

    def send_again(self, stream: str, start: int, stop: int) -> None:
        """Resend the rows ``[start, stop)`` of a stream as late rows, with their descriptions, which the requester may
        not have seen."""
        self._lane.sent_descriptions.clear()
        self._lane.resend[stream].add(start, stop)
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Send live rows, send the final messages and end within ``timeout_s``."""
        self._deadline_s = asyncio.get_running_loop().time() + timeout_s
        self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        """Wait for the next attempt, or for :meth:`stop`. Commits also wake it, and are ignored."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds, self._wake.set)
        until_s = loop.time() + seconds
        while self._deadline_s is None and loop.time() < until_s:
            self._last_step_s = loop.time()
            self._wake.clear()
            await self._wake.wait()
        timer.cancel()

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return self._backoff.wait_s(error, asyncio.get_running_loop().time())

    def _log_once(self, error: BaseException) -> None:
        """Log each new reason once: an unreachable broker is not reported again and again."""
        self._dialer.attempt_ended()
        if str(error) != self._last_logged:
            self._last_logged = str(error)
            line = _("not connected: {reason}; keeping readings, retrying").format(reason=error)
            _log.warning(line, extra=log_extra(LogCode.NOT_CONNECTED))

    async def _hold(self) -> None:
        """Connect, and hold the session until it breaks. Raises :class:`ConnectionLost`."""
        self._last_step_s = asyncio.get_running_loop().time()
        if self._deadline_s is not None and self._tried:
            return
        self._tried = True
        self._reconnecting = False
        link = self._link = await self._dialer.open(self._store.epoch)
        try:
            if not self._reconnecting:
                await self._session(link)
        except ConnectionLost as error:
            if self._reconnecting:
                return
            self._careful = isinstance(error, Unacknowledged)
            if isinstance(error, SessionTakenOver):
                self._conflict(PROOF)
            raise
        finally:
            self.online = False
            self._link = None
            link.drop()

    def _evaluate(self, ended: Session, began_s: float) -> None:
        """Evaluate a session that has ended: whether it worked, and whether somebody else uses this gateway's id."""
        now_s = asyncio.get_running_loop().time()
        if ended.progressed or (ended.introduced and now_s - began_s >= self._context.timings.stable_s):
            self._backoff.record_success(now_s)
            self._dialer.session_succeeded()
            self._last_logged = ""
        # The first session of a process finds the state of the previous process.
        if ended.saw_foreign_state and self.sessions > 1:
            self._conflict(1)

    def _conflict(self, evidence: int) -> None:
        """Another client seems to use this gateway's id. Brokers that report it (MQTT 5, 0x8E) prove it; with others,
        somebody else wrote ``state`` between two of our sessions."""
        if self._backoff.record_conflict(evidence, asyncio.get_running_loop().time()):
            gateway = self._config.gateway.id
            self._store.announce(client_id_conflict(gateway))
            line = _(
                "another client uses the id {gateway}: look for a second gateway with this id; "
                "waiting longer between attempts"
            ).format(gateway=gateway)
            _log.error(line, extra=log_extra(LogCode.CLIENT_ID_CONFLICT))

    async def _session(self, link: Connection) -> None:
        current = Session(self._context, link, self._inbox, self._wake, SessionStart(self._careful, self._first))
        self.online = True
        self.sessions += 1
        current.on_proof = self._on_proof
        self._current = current
        began_s = asyncio.get_running_loop().time()
        line = _("connected, MQTT {version}").format(version="5" if link.mqtt5 else "3.1.1")
        _log.info(line, extra=log_extra(LogCode.CONNECTED))
        try:
            await current.run(lambda: self._deadline_s)
        finally:
            self._evaluate(current, began_s)
            self._first = self._first and not current.introduced
            self._current = None

    def _on_proof(self, telemetry: bool) -> None:
        if telemetry:
            self.telemetry_acknowledged = True
        else:
            self.echoed = True

    def _on_commit(self, ranges: Mapping[str, CommittedRange]) -> None:
        now_s = asyncio.get_running_loop().time()
        mono_ms = self._context.clocks.mono_ms()
        for stream, committed in ranges.items():
            wait_s = (
                0.0 if committed.urgent else self._config.publish.max_delay_s - (mono_ms - committed.mono_ms) / 1000
            )
            self._lane.add_committed(stream, committed.start, committed.mono_ms, now_s + max(0.0, wait_s))
        self._wake.set()
