"""Routes each message from the broker to its handler, and collects the messages to send back."""

from collections.abc import Callable
from typing import Protocol

from agent.delivery import wire
from agent.delivery.connection import Message


class Commands(Protocol):
    """Executes commands and replies to them."""

    def topics(self) -> list[str]: ...
    def handle(self, message: Message) -> None: ...
    def answer(self) -> tuple[str, bytes, bool] | None: ...
    def flushed(self) -> bool: ...


class MessageRouter:
    """An :class:`~agent.delivery.session.Inbox`. ``on_config`` handles messages about configurations. ``reported`` is
    the payload of ``config/reported``: sent once per session, and whenever it changes."""

    def __init__(self, commands: Commands, topics: wire.Topics, on_config: Callable[[Message], None]) -> None:
        self._commands = commands
        self._topics = topics
        self._on_config = on_config
        self.reported: bytes = b""
        self._last_reported: bytes = b""

    def topics(self) -> list[str]:
        """Return the topics to subscribe to. Called at the start of each session; ``reported`` is then sent again."""
        self._last_reported = b""
        return [*self._commands.topics(), self._topics.desired, self._topics.trust]

    def handle(self, message: Message) -> None:
        """Pass a message to its handler."""
        if message.topic in (self._topics.desired, self._topics.trust):
            self._on_config(message)
        else:
            self._commands.handle(message)

    def answer(self) -> tuple[str, bytes, bool] | None:
        """Return the next message to send: topic, payload, and whether it is retained."""
        if self.reported != self._last_reported:
            self._last_reported = self.reported
            return self._topics.reported, self.reported, True
        return self._commands.answer()

    def flushed(self) -> bool:
        """Return whether everything must be sent at once."""
        return self._commands.flushed()
