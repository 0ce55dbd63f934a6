"""What the broker sends is handed to who it is for, and what there is to answer is sent."""

from collections.abc import Callable
from typing import Protocol

from agent.delivery import wire
from agent.delivery.connection import Message


class Desk(Protocol):
    """Who carries out commands."""

    def topics(self) -> list[str]: ...
    def take(self, message: Message) -> None: ...
    def answer(self) -> tuple[str, bytes, bool] | None: ...
    def flushed(self) -> bool: ...


class MessageRouter:
    """An :class:`~agent.delivery.session.Inbox`. ``configured``: takes messages about configurations; ``reported``:
    the message of ``config/reported``, sent in each session and whenever it is another one."""

    def __init__(self, desk: Desk, topics: wire.Topics, configured: Callable[[Message], None]) -> None:
        self._desk = desk
        self._topics = topics
        self._configured = configured
        self.reported: bytes = b""
        self._last_reported: bytes = b""

    def topics(self) -> list[str]:
        """What is to be subscribed to. Called at the start of each session: what was reported is reported again."""
        self._last_reported = b""
        return [*self._desk.topics(), self._topics.desired, self._topics.trust]

    def take(self, message: Message) -> None:
        """Hand on a message."""
        if message.topic in (self._topics.desired, self._topics.trust):
            self._configured(message)
        else:
            self._desk.take(message)

    def answer(self) -> tuple[str, bytes, bool] | None:
        """The next message to be sent."""
        if self.reported != self._last_reported:
            self._last_reported = self.reported
            return self._topics.reported, self.reported, True
        return self._desk.answer()

    def flushed(self) -> bool:
        """Whether everything is to be sent at once."""
        return self._desk.flushed()
