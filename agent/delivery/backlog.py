"""Which rows of the backlog are to be sent next: what is owed behind the live lane, and what was asked for again."""

from agent.base.reading import Row
from agent.delivery.context import DeliveryContext, Store, Wanted
from agent.delivery.policies.backlog_tokens import BacklogTokens
from agent.delivery.policies.clock_hold import ClockHold
from agent.delivery.window import Window


class Backlog:
    """Of one connection, whose window this is."""

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
        """When there are tokens for what waits for them (loop seconds)."""
        return self._tokens.due_s

    def wanted(self, open_streams: list[str]) -> list[Wanted]:
        """The oldest owed range of each stream, for which there are tokens enough; of events alone while there are
        any. ``open_streams``: those that may be sent now, in their order."""
        found: list[Wanted] = []
        tokens = self._tokens.fill(self._now_s())
        if not self._window.room(late=True):
            return found
        for stream in open_streams:
            if found and stream.startswith("telemetry/") and found[0][0].startswith("event/"):
                break
            owed = self._owed(stream)
            if owed is None:
                self._look_aside(stream)
                continue
            # A whole message, or all that is left: a message for each row would cost several times as much.
            most = self._poison.max_rows(stream, owed[0], self._max_rows)
            rows = min(most, owed[1] - owed[0], self._tokens.max_rows)
            if tokens >= rows:
                tokens -= rows
                found.append((stream, *owed, rows))
            else:
                self._tokens.wait_for(rows)
        return found

    def released(self, stream: str, rows: list[Row], stop: int) -> list[Row]:
        """The beginning of ``rows`` (of a range that ends before ``stop``) that need not wait for the clock."""
        released = self._hold.released(stream, rows)
        if len(released) < len(rows):  # they come by themselves, whoever asked for them
            self._lane.again[stream].remove(rows[len(released)].seq, stop)
        return released

    def sent(self, rows: int) -> None:
        """So many rows have left."""
        self._tokens.spend(rows)

    def _owed(self, stream: str) -> tuple[int, int] | None:
        account = self._store.accounts[stream]
        under_way, aside = self._window.under_way[stream], self._poison.aside(stream)
        behind = (
            account.deliverable(1, self._lane.next.get(stream, account.next)) if not self._hold.held(stream) else ()
        )
        for start, stop in (*self._lane.again[stream], *behind):
            for first, after in under_way.gaps(start, stop):
                gap = aside.first_gap(first, after)
                if gap is not None:
                    return gap
        return None

    def _look_aside(self, stream: str) -> None:
        """Nothing of the backlog can be sent: if that is all there is, decide about rows that were set aside."""
        account = self._store.accounts[stream]
        live_left = self._lane.next.get(stream, account.next) < account.next
        if not live_left and not self._window.under_way[stream] and not self._hold.held(stream):
            self._poison.nothing_behind(stream, self._now_s())
