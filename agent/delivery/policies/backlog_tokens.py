"""How fast the backlog may be sent: one token for each row, so many a second. Pure."""


class BacklogTokens:
    """``rows_per_s``: also how many may be sent at once. Times are seconds of any monotonic clock."""

    def __init__(self, rows_per_s: int, now_s: float) -> None:
        self._rate = rows_per_s
        self._tokens = float(rows_per_s)
        self._filled_s = now_s
        self._due_s: float | None = None

    @property
    def max_rows(self) -> int:
        """How many rows there can ever be tokens for."""
        return self._rate

    @property
    def due_s(self) -> float | None:
        """When there are enough for what has had to wait since :meth:`fill`."""
        return self._due_s

    def fill(self, now_s: float) -> int:
        """Add what time has brought; give how many whole ones there are."""
        self._tokens = min(self._rate, self._tokens + (now_s - self._filled_s) * self._rate)
        self._filled_s = now_s
        self._due_s = None
        return int(self._tokens)

    def wait_for(self, rows: int) -> None:
        """So many rows wait until there are tokens for them."""
        due_s = self._filled_s + (rows - self._tokens) / self._rate
        self._due_s = due_s if self._due_s is None else min(due_s, self._due_s)

    def spend(self, rows: int) -> None:
        """So many rows were sent."""
        self._tokens -= rows
