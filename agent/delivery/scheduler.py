"""What one connection delivers: live rows first, the backlog behind, each settled by its PUBACK."""

import logging

from agent.base.codes import LogCode, log_extra
from agent.base.i18n import _
from agent.base.reading import missing
from agent.delivery import wire
from agent.delivery.backlog import Backlog
from agent.delivery.context import Connection, DeliveryContext, Store, Wanted
from agent.delivery.losses import Losses
from agent.delivery.policies.clock_hold import ClockHold
from agent.delivery.policies.denied_streams import DeniedStreams
from agent.delivery.publisher import Publisher
from agent.delivery.window import InFlight

_log = logging.getLogger(__name__)

_UNUSABLE = (0x95, 0x99)
"""PUBACK reasons that mean this payload, not this topic: packet too large, payload format invalid."""
_IDLE_S = 60.0
"""When to come again where nothing is due."""


class Delivery:
    """The state of one connection's deliveries. ``careful``: whether to begin with a small window."""

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
        """Send what is due and finds room; say when to come again (loop seconds). ``flush``: all that is live is due
        now, and nothing late is begun."""
        self.window.lockstep = self._poison.lockstep
        self._give_up_poison()
        while await self._send_live(flush):
            pass
        # One round: whatever is live, an answer or the end of the session comes before the next one.
        if not flush and await self._send_late():
            return self._now_s()
        self._give_up_poison()
        return self._next_due_s()

    def live_left(self) -> bool:
        """Whether anything live is unsent or unacknowledged."""
        accounts = self._store.accounts
        return len(self.window) > 0 or any(
            number < accounts[name].next and self._open(name) for name, number in self._lane.next.items()
        )

    def acknowledged(self, mid: int, failure: int) -> str:
        """A PUBACK came; ``failure`` is its reason code if that is a refusal, else 0. Gives the stream of the rows that
        the broker has taken, if it was for some."""
        flight = self.window.acknowledged(mid)
        if flight is None or not flight.stream:
            return ""
        if failure in _UNUSABLE:
            self._poison.refused(flight)
        elif failure:
            self._refused(flight, failure)
        else:
            self._taken(flight)
            return flight.stream
        return ""

    def pass_over(self, before_s: float) -> None:
        """Give up waiting for messages that left before ``before_s`` (loop seconds) and were passed over by the broker:
        their rows are sent again in other messages."""
        for flight in self.window.passed_over(before_s):
            if flight.stream:
                self._poison.unanswered(flight)

    def lost(self) -> None:
        """The connection ended by itself."""
        self._poison.lost(self.window.unacknowledged(), self._now_s())

    def _taken(self, flight: InFlight) -> None:
        self._poison.acknowledged(flight)
        self._store.settle(flight.stream, flight.start, flight.stop)
        self._lane.again[flight.stream].remove(flight.start, flight.stop)
        if self._denied.taken(flight.stream):
            line = _("the broker accepts {stream} again").format(stream=flight.stream)
            _log.warning(line, extra=log_extra(LogCode.PUBLISH_ACCEPTED))

    def _refused(self, flight: InFlight, failure: int) -> None:
        """The topic is refused (an ACL, a quota): keep its rows, try again later, let the others flow."""
        if self._open(flight.stream) and self._denied.refused(flight.stream, self._now_s()):
            line = _(
                "the broker refuses {stream} (reason 0x{code:02x}); holding its readings, sending the others"
            ).format(stream=flight.stream, code=failure)
            _log.error(line, extra=log_extra(LogCode.PUBLISH_REFUSED))

    def _give_up_poison(self) -> None:
        while self._poison.given_up:
            self._losses.rejected(*self._poison.given_up.pop())

    def _paused_until(self, stream: str) -> float:
        return max(self._denied.until_s(stream), self._poison.paused_until_s(stream))

    def _open(self, stream: str) -> bool:
        return self._paused_until(stream) <= self._now_s()

    async def _send_live(self, flush: bool) -> bool:
        """One round over the streams that are due; whether another one is worth it."""
        wanted = self._live(flush)
        if not wanted or not self.window.room(late=False):
            return False
        more = False
        for (stream, start, stop, _unused), found in zip(wanted, await self._store.read(wanted), strict=True):
            oldest_ms = self._mono_ms() - wire.LIVE_MS
            rows = [row for row in found if row.mono_ms >= oldest_ms and not self._hold.wait_ms(stream, row)]
            if not self.window.room(late=False):
                return False
            if rows:
                following = await self.publisher.publish(stream, rows, late=False)
            else:
                following = found[-1].seq + 1 if found else stop
            self._lane.next[stream] = max(following, start)
            if following >= self._store.accounts[stream].next:
                self._lane.due_s.pop(stream, None)
            else:
                more = True
        return more

    def _live(self, flush: bool) -> list[Wanted]:
        """What is to be sent live now."""
        now_s = self._now_s()
        wanted: list[Wanted] = []
        for stream in sorted(self._lane.due_s):  # events sort before telemetry
            start, stop = self._lane.next[stream], self._store.accounts[stream].next
            limit = self._poison.max_rows(stream, start, self._max_rows)
            if (flush or now_s >= self._lane.due_s[stream] or stop - start >= limit) and self._open(stream):
                self._lane.skip_old(stream, stop, self._mono_ms())
                wanted.append((stream, self._lane.next[stream], stop, limit))
        return wanted

    async def _send_late(self) -> bool:
        """Send one message of each stream that is behind; whether another round is worth it."""
        wanted = self._backlog.wanted([stream for stream in sorted(self._store.accounts) if self._open(stream)])
        if not wanted:
            return False
        for (stream, start, stop, limit), rows in zip(wanted, await self._store.read(wanted), strict=True):
            for hole in missing(rows, start, stop if len(rows) < limit else rows[-1].seq + 1):
                self._losses.vanished(stream, *hole)
            rows = self._backlog.released(stream, rows, stop)
            if rows and self.window.room(late=True):
                self._backlog.sent(await self.publisher.publish(stream, rows, late=True) - rows[0].seq)
        return True

    def _next_due_s(self) -> float:
        """When there may be something to send without anything else happening."""
        now_s = self._now_s()
        due = [due_s for stream, due_s in self._lane.due_s.items() if self._open(stream)]
        due += [until_s for stream in self._store.accounts if (until_s := self._paused_until(stream)) > now_s]
        due += self._hold.due_s()
        if self._backlog.due_s is not None:
            due.append(self._backlog.due_s)
        if not self.window.room(late=False):
            due = [due_s for due_s in due if due_s > now_s]
        return min(due, default=now_s + _IDLE_S)
