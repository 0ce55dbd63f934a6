"""Which rows make one message. Pure."""

from agent.base.reading import Row


def one_message(rows: list[Row]) -> list[Row]:
    """The beginning of ``rows`` with consecutive numbers and one context."""
    first = rows[0]
    for index, row in enumerate(rows):
        if row.seq != first.seq + index or row.context != first.context:
            return rows[:index]
    return rows
