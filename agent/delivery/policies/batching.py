"""Decides which rows form one message. No I/O."""

from agent.base.reading import Row


def first_message(rows: list[Row]) -> list[Row]:
    """Return the leading rows with consecutive numbers and the same context."""
    first = rows[0]
    for index, row in enumerate(rows):
        if row.seq != first.seq + index or row.context != first.context:
            return rows[:index]
    return rows
