"""Limits how fast the backlog is sent: one token for each row. No I/O."""


class BacklogTokens:
    """``rows_per_s``: the rate, and also the burst. Times are seconds of any monotonic clock."""

    def __init__(self, rows_per_s: int, now_s: float) -> None:
        self._rate = rows_per_s
        self._tokens = float(rows_per_s)
        self._filled_s = now_s
        self._due_s: float | None = None

    @property
    def max_rows(self) -> int:
        """The largest number of rows that tokens can ever accumulate for."""
        return self._rate

    @property
    def due_s(self) -> float | None:
        """When there are enough tokens for the rows that had to wait since :meth:`fill`."""
        return self._due_s

    def fill(self, now_s: float) -> int:
        """Add the tokens of the elapsed time; return the number of whole ones."""
        self._tokens = min(self._rate, self._tokens + (now_s - self._filled_s) * self._rate)
        self._filled_s = now_s
        self._due_s = None
        return int(self._tokens)

    def wait_for(self, rows: int) -> None:
        """Record that this many rows wait for tokens."""
        due_s = self._filled_s + (rows - self._tokens) / self._rate
        self._due_s = due_s if self._due_s is None else min(due_s, self._due_s)

    def spend(self, rows: int) -> None:
        """Spend tokens for rows that were sent."""
        self._tokens -= rows
