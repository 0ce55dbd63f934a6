"""Selects the rows of the backlog to send next: unsettled rows behind the live lane, and rows requested again."""

from agent.base.reading import Row
from agent.delivery.context import DeliveryContext, ReadRange, Store
from agent.delivery.policies.backlog_tokens import BacklogTokens
from agent.delivery.policies.clock_hold import ClockHold
from agent.delivery.window import Window


class Backlog:
    """The backlog as sent on one connection, within its ``window``."""

    def __init__(self, context: DeliveryContext[Store], window: Window, hold: ClockHold) -> None:
        self._store = context.store
        self._lane = context.lane
        self._poison = context.lane.poison
        self._max_rows = context.settings.max_rows
        self._now_s = context.clocks.now_s
        self._window = window
        self._hold = hold
        self._tokens = BacklogTokens(context.settings.backlog_rows_per_s, context.clocks.now_s())

    @property
    def due_s(self) -> float | None:
        """When there will be tokens for the rows waiting for them (loop seconds)."""
        return self._tokens.due_s

    def next_ranges(self, open_streams: list[str]) -> list[ReadRange]:
        """Return the oldest unsent range of each stream, if there are enough tokens; only of event streams while those
        have any. ``open_streams``: the streams that may be sent now, in order."""
        ranges: list[ReadRange] = []
        tokens = self._tokens.fill(self._now_s())
        if not self._window.has_room(late=True):
            return ranges
        for stream in open_streams:
            if ranges and stream.startswith("telemetry/") and ranges[0][0].startswith("event/"):
                break
            unsent = self._next_unsent(stream)
            if unsent is None:
                self._decide_set_aside(stream)
                continue
            # Wait for a whole message, or the rest of the range: one message per row would cost several times as much.
            max_rows = self._poison.max_rows(stream, unsent[0], self._max_rows)
            rows = min(max_rows, unsent[1] - unsent[0], self._tokens.max_rows)
            if tokens >= rows:
                tokens -= rows
                ranges.append((stream, *unsent, rows))
            else:
                self._tokens.wait_for(rows)
        return ranges

    def ready_rows(self, stream: str, rows: list[Row], stop: int) -> list[Row]:
        """Return the leading rows of ``rows`` (of a range that ends before ``stop``) that need not wait for the
        clock."""
        ready = self._hold.ready_rows(stream, rows)
        if len(ready) < len(rows):  # they are sent later in any case, whoever requested them
            self._lane.resend[stream].remove(rows[len(ready)].seq, stop)
        return ready

    def spend(self, rows: int) -> None:
        """Spend tokens for the rows that were sent."""
        self._tokens.spend(rows)

    def _next_unsent(self, stream: str) -> tuple[int, int] | None:
        account = self._store.accounts[stream]
        in_flight, aside = self._window.in_flight[stream], self._poison.set_aside(stream)
        backlog = (
            account.deliverable(1, self._lane.next.get(stream, account.next)) if not self._hold.is_held(stream) else ()
        )
        for start, stop in (*self._lane.resend[stream], *backlog):
            for first, after in in_flight.gaps(start, stop):
                gap = aside.first_gap(first, after)
                if gap is not None:
                    return gap
        return None

    def _decide_set_aside(self, stream: str) -> None:
        """If nothing of the stream is left to send except rows that were set aside, decide about those."""
        account = self._store.accounts[stream]
        live_left = self._lane.next.get(stream, account.next) < account.next
        if not live_left and not self._window.in_flight[stream] and not self._hold.is_held(stream):
            self._poison.on_backlog_empty(stream, self._now_s())
