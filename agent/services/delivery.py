"""What one connection delivers: live rows first, the backlog behind, each settled by its PUBACK."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from agent.core import wire
from agent.core.batching import missing, one_message
from agent.core.events import rows_lost
from agent.core.link import Limits
from agent.core.log_fields import tagged
from agent.core.reading import Row
from agent.core.settings import Publish
from agent.core.text import say
from agent.core.window import Flight, Window
from agent.services import clock_hold
from agent.services.clock_hold import ClockHold
from agent.services.live_lane import LiveLane

_log = logging.getLogger(__name__)

_PACKET_OVERHEAD = 256
"""Bytes kept free for topic and properties below the broker's Maximum Packet Size."""
_PAUSE_S, _MAX_PAUSE_S = 30.0, 600.0
_UNUSABLE = (0x95, 0x99)
"""PUBACK reasons that mean this payload, not this topic: packet too large, payload format invalid."""

Wanted = tuple[str, int, int, int]
"""A stream, the first number, the one after the last, and how many rows at most."""


class Store(clock_hold.Store, Protocol):
    """What delivery needs of the store."""

    async def read(self, wanted: Sequence[Wanted]) -> list[list[Row]]: ...
    async def description(self, mh: str) -> bytes: ...
    def settle(self, stream: str, start: int, stop: int) -> None: ...
    def announce(self, row: Mapping[str, object]) -> None: ...


class Link(Protocol):
    """What delivery needs of a connection."""

    limits: Limits

    def publish(
        self, topic: str, payload: bytes, retain: bool = False, content_type: str = "", encoding: str = ""
    ) -> int: ...


class Delivery:
    """The state of one connection's deliveries. ``now_s``, ``mono_ms``: the clocks of the event loop and the boot."""

    def __init__(
        self, store: Store, link: Link, lane: LiveLane, settings: Publish, topics: wire.Topics,
        describe: Callable[[bytes], bytes], mh: str, now_s: Callable[[], float], mono_ms: Callable[[], int],
        careful: bool,
    ) -> None:  # fmt: skip
        self._store = store
        self._link = link
        self._lane = lane
        self._settings = settings
        self._topics = topics
        self._describe = describe
        self._mh = mh
        lane.described.clear()
        self._now_s = now_s
        self._mono_ms = mono_ms
        self.window = Window(link.limits.receive_maximum, careful)
        self._max_bytes = min(wire.MAX_BATCH_BYTES, link.limits.packet_bytes - _PACKET_OVERHEAD)
        self._tokens = float(settings.backlog_rows_per_s)
        self._tokens_s = now_s()
        self._tokens_due_s: float | None = None
        self._refusals: Counter[str] = Counter()
        self._paused_until_s: dict[str, float] = {}
        self._hold = ClockHold(store, settings.max_delay_s, now_s, mono_ms)
        self._poison = lane.poison

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
        return self._next_due_s()

    def announce(self, topic: str, payload: bytes, retain: bool) -> int:
        """Send a message that carries no rows, within the same window; give its id."""
        mid = self._link.publish(topic, payload, retain, wire.CONTENT_TYPES["json"])
        self.window.sent(mid, Flight("", 0, 0, len(payload), self._now_s(), late=False))
        return mid

    def live_left(self) -> bool:
        """Whether anything live is unsent or unacknowledged."""
        accounts = self._store.accounts
        return len(self.window) > 0 or any(
            number < accounts[name].next and self._open(name) for name, number in self._lane.next.items()
        )

    def fits(self, payload: bytes) -> bool:
        """Whether the broker takes a message as long as this."""
        return len(payload) <= self._link.limits.packet_bytes - _PACKET_OVERHEAD

    def acknowledged(self, mid: int, failure: int) -> str:
        """A PUBACK came; ``failure`` is its reason code if that is a refusal, else 0. Gives the stream of the rows that
        the broker has taken, if it was for some."""
        flight = self.window.acknowledged(mid)
        if flight is None or not flight.stream:
            return ""
        if not failure:
            self._poison.acknowledged(flight)
            self._store.settle(flight.stream, flight.start, flight.stop)
            self._lane.again[flight.stream].remove(flight.start, flight.stop)
            if flight.stream in self._refusals:
                del self._refusals[flight.stream]
                _log.warning(say("the broker takes {stream} again", stream=flight.stream))
        elif failure in _UNUSABLE:
            self._poison.refused(flight)
        else:
            self._denied(flight, failure)
        return "" if failure else flight.stream

    def pass_over(self, before_s: float) -> None:
        """Give up waiting for messages that left before ``before_s`` (loop seconds) and were passed over by the broker:
        their rows are sent again in other messages."""
        for flight in self.window.passed_over(before_s):
            if flight.stream:
                self._poison.unanswered(flight)

    def lost(self) -> None:
        """The connection ended by itself."""
        self._poison.lost(self.window.unacknowledged(), self._now_s())

    def _denied(self, flight: Flight, failure: int) -> None:
        """The topic is refused (an ACL, a quota): keep its rows, try again later, let the others flow."""
        if not self._open(flight.stream):
            return
        if not self._refusals[flight.stream]:
            _log.error(say("the broker refuses {stream} (reason 0x{code:02x}): its readings wait, the others go on",
                           stream=flight.stream, code=failure), extra=tagged("broker_refuses"))  # fmt: skip
        pause_s = min(_MAX_PAUSE_S, _PAUSE_S * 2 ** self._refusals[flight.stream])
        self._refusals[flight.stream] += 1
        self._paused_until_s[flight.stream] = self._now_s() + pause_s

    def _give_up_poison(self) -> None:
        while self._poison.given_up:
            self._give_up(*self._poison.given_up.pop())

    def _give_up(self, stream: str, start: int, stop: int) -> None:
        _log.error(say("{n} rows of {stream} from {number} on were dropped: the broker cannot take them",
                       n=stop - start, number=start, stream=stream), extra=tagged("row_given_up"))  # fmt: skip
        self._lane.again[stream].remove(start, stop)
        for first, after in list(self._store.accounts[stream].settled.gaps(start, stop)):
            self._store.settle(stream, first, after)
            ep = self._store.accounts[stream].epoch_of(first)
            self._store.announce(rows_lost(stream, ep, first, after, "rejected"))

    def _rows_of(self, stream: str, number: int) -> int:
        return self._poison.max_rows(stream, number, self._settings.max_rows)

    def _paused_until(self, stream: str) -> float:
        return max(self._paused_until_s.get(stream, 0.0), self._poison.paused_until_s(stream))

    def _open(self, stream: str) -> bool:
        return self._paused_until(stream) <= self._now_s()

    async def _send_live(self, flush: bool) -> bool:
        """One round over the streams that are due; whether another one is worth it."""
        now_s = self._now_s()
        wanted: list[Wanted] = []
        for stream in sorted(self._lane.due_s):  # events sort before telemetry
            start, stop = self._lane.next[stream], self._store.accounts[stream].next
            limit = self._rows_of(stream, start)
            if (flush or now_s >= self._lane.due_s[stream] or stop - start >= limit) and self._open(stream):
                self._lane.skip_old(stream, stop, self._mono_ms())
                wanted.append((stream, self._lane.next[stream], stop, limit))
        if not wanted or not self.window.room(late=False):
            return False
        more = False
        for (stream, start, stop, _), found in zip(wanted, await self._store.read(wanted), strict=True):
            oldest_ms = self._mono_ms() - wire.LIVE_MS
            rows = [row for row in found if row.mono_ms >= oldest_ms and not self._hold.wait_ms(stream, row)]
            if not self.window.room(late=False):
                return False
            if rows:
                following = await self._publish(stream, rows, late=False)
            else:
                following = found[-1].seq + 1 if found else stop
            self._lane.next[stream] = max(following, start)
            if following >= self._store.accounts[stream].next:
                self._lane.due_s.pop(stream, None)
            else:
                more = True
        return more

    async def _send_late(self) -> bool:
        """Send one message of each stream that is behind; whether another round is worth it."""
        self._fill()
        self._tokens_due_s = None
        if not self.window.room(late=True):
            return False
        wanted = self._behind()
        if not wanted:
            return False
        for (stream, start, stop, limit), late_rows in zip(wanted, await self._store.read(wanted), strict=True):
            for first, after in missing(late_rows, start, stop if len(late_rows) < limit else late_rows[-1].seq + 1):
                self._lane.again[stream].remove(first, after)
                for hole in list(self._store.accounts[stream].deliverable(first, after)):
                    self._vanished(stream, *hole)
            released = self._hold.released(stream, late_rows)
            if len(released) < len(late_rows):  # they come by themselves, whoever asked for them
                self._lane.again[stream].remove(late_rows[len(released)].seq, stop)
            late_rows = released
            if late_rows and self.window.room(late=True):
                self._tokens -= await self._publish(stream, late_rows, late=True) - late_rows[0].seq
        return True

    def _vanished(self, stream: str, start: int, stop: int) -> None:
        self._store.settle(stream, start, stop)
        self._store.announce(rows_lost(stream, self._store.accounts[stream].epoch_of(start), start, stop, "corrupt"))

    def _behind(self) -> list[Wanted]:
        """The oldest owed range of each stream behind the live lane, for which there are tokens enough; of events alone
        while there are any."""
        found: list[Wanted] = []
        tokens = int(self._tokens)
        for stream in sorted(self._store.accounts):
            if found and stream.startswith("telemetry/") and found[0][0].startswith("event/"):
                break
            owed = self._owed(stream) if self._open(stream) else None
            if owed is None:
                continue
            # A whole message, or all that is left: a message for each row would cost several times as much.
            rows = min(self._rows_of(stream, owed[0]), owed[1] - owed[0], self._settings.backlog_rows_per_s)
            if tokens >= rows:
                tokens -= rows
                found.append((stream, *owed, rows))
            else:
                self._await_tokens(rows)
        return found

    def _await_tokens(self, needed: int) -> None:
        due_s = self._now_s() + (needed - self._tokens) / self._settings.backlog_rows_per_s
        self._tokens_due_s = due_s if self._tokens_due_s is None else min(due_s, self._tokens_due_s)

    def _owed(self, stream: str) -> tuple[int, int] | None:
        account = self._store.accounts[stream]
        under_way, aside = self.window.under_way[stream], self._poison.aside(stream)
        behind = (
            account.deliverable(1, self._lane.next.get(stream, account.next)) if not self._hold.held(stream) else ()
        )
        for start, stop in (*self._lane.again[stream], *behind):
            for first, after in under_way.gaps(start, stop):
                gap = aside.first_gap(first, after)
                if gap is not None:
                    return gap
        return None

    def _fill(self) -> None:
        """Add the tokens that time has brought: one for each row of backlog that may be sent."""
        now_s = self._now_s()
        rate = self._settings.backlog_rows_per_s
        self._tokens = min(rate, self._tokens + (now_s - self._tokens_s) * rate)
        self._tokens_s = now_s

    async def _publish(self, stream: str, rows: list[Row], late: bool) -> int:
        """Send the longest beginning of ``rows`` that makes one message; give the number after its last row (the
        first one's own, where an older description had to go first)."""
        rows = one_message(rows)
        account = self._store.accounts[stream]
        context = rows[0].context
        if context.mh != self._mh and context.mh not in self._lane.described:
            self._lane.described.add(context.mh)
            sensors = await self._store.description(context.mh)
            if sensors:
                self.announce(self._topics.older_meta(context.mh), self._describe(sensors), retain=False)
                return rows[0].seq
        encoding = self._settings.encoding
        max_bytes = self._poison.max_bytes(self._max_bytes, self._now_s())
        payload = wire.encode_batch(rows, account.lo(context.ep), late, encoding)
        while len(payload) > max_bytes and len(rows) > 1:
            rows = rows[: max(1, len(rows) * max_bytes // (2 * len(payload)))]
            payload = wire.encode_batch(rows, account.lo(context.ep), late, encoding)
        start, stop = rows[0].seq, rows[-1].seq + 1
        if len(payload) > self._max_bytes:
            self._give_up(stream, start, stop)
            return stop
        squeezed = self._settings.compress == "zlib"
        if squeezed:
            payload = wire.compressed(payload)
        mid = self._link.publish(
            self._topics.stream(stream), payload, False, wire.CONTENT_TYPES[encoding], "zlib" if squeezed else ""
        )
        self.window.sent(mid, Flight(stream, start, stop, len(payload), self._now_s(), late))
        self._store.times.sent(stream, start, stop)
        return stop

    def _next_due_s(self) -> float:
        """When there may be something to send without anything else happening."""
        now_s = self._now_s()
        due = [due_s for stream, due_s in self._lane.due_s.items() if self._open(stream)]
        due += [until_s for stream in self._store.accounts if (until_s := self._paused_until(stream)) > now_s]
        due += self._hold.due_s()
        if self._tokens_due_s is not None:
            due.append(self._tokens_due_s)
        if not self.window.room(late=False):
            due = [due_s for due_s in due if due_s > now_s]
        return min(due, default=now_s + 60.0)
