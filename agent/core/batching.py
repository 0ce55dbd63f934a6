"""Which rows make one message. Pure."""

from collections.abc import Sequence

from agent.core.reading import Row


def one_message(rows: list[Row]) -> list[Row]:
    """The beginning of ``rows`` with consecutive numbers and one context."""
    first = rows[0]
    for index, row in enumerate(rows):
        if row.seq != first.seq + index or row.context != first.context:
            return rows[:index]
    return rows


def missing(rows: Sequence[Row], start: int, stop: int) -> list[tuple[int, int]]:
    """The numbers of ``[start, stop)`` that ``rows`` leaves out."""
    holes = []
    for row in rows:
        if row.seq > start:
            holes.append((start, row.seq))
        start = row.seq + 1
    if start < stop:
        holes.append((start, stop))
    return holes
