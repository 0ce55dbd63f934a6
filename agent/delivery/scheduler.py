"""Delivers on one connection: live rows first, then the backlog; each message is settled by its PUBACK."""

import logging

from agent.base.codes import LogCode, log_extra
from agent.base.i18n import _
from agent.base.reading import missing
from agent.delivery import wire
from agent.delivery.backlog import Backlog
from agent.delivery.context import Connection, DeliveryContext, ReadRange, Store
from agent.delivery.losses import Losses
from agent.delivery.policies.clock_hold import ClockHold
from agent.delivery.policies.denied_streams import DeniedStreams
from agent.delivery.publisher import Publisher
from agent.delivery.window import InFlight

_log = logging.getLogger(__name__)

_UNUSABLE = (0x95, 0x99)
"""PUBACK reasons that refer to this payload, not to this topic: packet too large, payload format invalid."""
_IDLE_S = 60.0
"""When to call again if nothing is due."""


class Delivery:
    """The deliveries of one connection. ``careful``: start with a small window."""

    def __init__(self, context: DeliveryContext[Store], link: Connection, careful: bool) -> None:
        self._store = context.store
        self._lane = context.lane
        self._poison = context.lane.poison
        self._max_rows = context.settings.max_rows
        self._now_s = context.clocks.now_s
        self._mono_ms = context.clocks.mono_ms
        self._losses = Losses(context.store, context.lane)
        self.publisher = Publisher(context, link, self._losses, careful)
        self.window = self.publisher.window
        self._denied = DeniedStreams(context.timings)
        self._hold = ClockHold(context.store, context.settings.max_delay_s, self._now_s, self._mono_ms)
        self._backlog = Backlog(context, self.window, self._hold)

    async def send(self, flush: bool = False) -> float:
        """Send what is due and fits the window; return when to call again (loop seconds). ``flush``: everything live is
        due now, and no backlog is started."""
        self.window.lockstep = self._poison.lockstep
        self._give_up_poison()
        while await self._send_live(flush):
            pass
        # One round only: live rows, answers and the end of the session come before the next round.
        if not flush and await self._send_late():
            return self._now_s()
        self._give_up_poison()
        return self._next_due_s()

    def has_live(self) -> bool:
        """Return whether any live row is unsent or unacknowledged."""
        accounts = self._store.accounts
        return len(self.window) > 0 or any(
            number < accounts[name].next and self._is_open(name) for name, number in self._lane.next.items()
        )

    def on_ack(self, mid: int, failure: int) -> str:
        """Process a PUBACK. ``failure`` is its reason code if it is a refusal, else 0. Return the stream whose rows the
        broker accepted, if any."""
        flight = self.window.acknowledge(mid)
        if flight is None or not flight.stream:
            return ""
        if failure in _UNUSABLE:
            self._poison.on_refused(flight)
        elif failure:
            self._on_refused(flight, failure)
        else:
            self._on_accepted(flight)
            return flight.stream
        return ""

    def skip_unacknowledged(self, before_s: float) -> None:
        """Stop waiting for messages sent before ``before_s`` (loop seconds) that the broker skipped: their rows are
        resent in other messages."""
        for flight in self.window.pop_skipped(before_s):
            if flight.stream:
                self._poison.on_unanswered(flight)

    def on_connection_lost(self) -> None:
        """Record that the connection broke."""
        self._poison.on_connection_lost(self.window.unacknowledged(), self._now_s())

    def _on_accepted(self, flight: InFlight) -> None:
        self._poison.on_acknowledged(flight)
        self._store.settle(flight.stream, flight.start, flight.stop)
        self._lane.resend[flight.stream].remove(flight.start, flight.stop)
        if self._denied.record_accepted(flight.stream):
            line = _("the broker accepts {stream} again").format(stream=flight.stream)
            _log.warning(line, extra=log_extra(LogCode.PUBLISH_ACCEPTED))

    def _on_refused(self, flight: InFlight, failure: int) -> None:
        """The topic is refused (ACL, quota): keep its rows, retry later, and continue with the other streams."""
        if self._is_open(flight.stream) and self._denied.record_refusal(flight.stream, self._now_s()):
            line = _(
                "the broker refuses {stream} (reason 0x{code:02x}); holding its readings, sending the others"
            ).format(stream=flight.stream, code=failure)
            _log.error(line, extra=log_extra(LogCode.PUBLISH_REFUSED))

    def _give_up_poison(self) -> None:
        while self._poison.given_up:
            self._losses.settle_rejected(*self._poison.given_up.pop())

    def _paused_until(self, stream: str) -> float:
        return max(self._denied.until_s(stream), self._poison.paused_until_s(stream))

    def _is_open(self, stream: str) -> bool:
        return self._paused_until(stream) <= self._now_s()

    async def _send_live(self, flush: bool) -> bool:
        """Send one round of the streams that are due; return whether another round is useful."""
        ranges = self._live_ranges(flush)
        if not ranges or not self.window.has_room(late=False):
            return False
        more = False
        for (stream, start, stop, _unused), stored in zip(ranges, await self._store.read(ranges), strict=True):
            oldest_ms = self._mono_ms() - wire.LIVE_MS
            rows = [row for row in stored if row.mono_ms >= oldest_ms and not self._hold.wait_ms(stream, row)]
            if not self.window.has_room(late=False):
                return False
            if rows:
                following = await self.publisher.publish(stream, rows, late=False)
            else:
                following = stored[-1].seq + 1 if stored else stop
            self._lane.next[stream] = max(following, start)
            if following >= self._store.accounts[stream].next:
                self._lane.due_s.pop(stream, None)
            else:
                more = True
        return more

    def _live_ranges(self, flush: bool) -> list[ReadRange]:
        """Return the ranges to send live now."""
        now_s = self._now_s()
        ranges: list[ReadRange] = []
        for stream in sorted(self._lane.due_s):  # events sort before telemetry
            start, stop = self._lane.next[stream], self._store.accounts[stream].next
            limit = self._poison.max_rows(stream, start, self._max_rows)
            if (flush or now_s >= self._lane.due_s[stream] or stop - start >= limit) and self._is_open(stream):
                self._lane.skip_old(stream, stop, self._mono_ms())
                ranges.append((stream, self._lane.next[stream], stop, limit))
        return ranges

    async def _send_late(self) -> bool:
        """Send one message of each stream with a backlog; return whether another round is useful."""
        ranges = self._backlog.next_ranges([stream for stream in sorted(self._store.accounts) if self._is_open(stream)])
        if not ranges:
            return False
        for (stream, start, stop, limit), rows in zip(ranges, await self._store.read(ranges), strict=True):
            for hole in missing(rows, start, stop if len(rows) < limit else rows[-1].seq + 1):
                self._losses.settle_missing(stream, *hole)
            rows = self._backlog.ready_rows(stream, rows, stop)
            if rows and self.window.has_room(late=True):
                self._backlog.spend(await self.publisher.publish(stream, rows, late=True) - rows[0].seq)
        return True

    def _next_due_s(self) -> float:
        """Return when something may become due without another event."""
        now_s = self._now_s()
        due = [due_s for stream, due_s in self._lane.due_s.items() if self._is_open(stream)]
        due += [until_s for stream in self._store.accounts if (until_s := self._paused_until(stream)) > now_s]
        due += self._hold.due_s()
        if self._backlog.due_s is not None:
            due.append(self._backlog.due_s)
        if not self.window.has_room(late=False):
            due = [due_s for due_s in due if due_s > now_s]
        return min(due, default=now_s + _IDLE_S)
