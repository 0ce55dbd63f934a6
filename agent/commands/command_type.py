"""What every command declares about itself."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from agent.commands.arguments import ArgumentType
from agent.commands.context import CommandContext

MAX_BYTES = 65_536


class Authority(Enum):
    """What a command needs before it is executed."""

    NONE = "none"
    SITE = "site"
    """The gateway's own file must allow it and, unless that file says otherwise, it must be signed: the command
    changes something on site."""
    SIGNATURE = "signature"
    """It must be signed, whatever the gateway's own file says: whoever owns the broker must not be able to give a
    gateway a worthless certificate."""


Arguments = Mapping[str, Any]
"""Parsed arguments, by name."""


@dataclass(frozen=True, slots=True)
class CommandType:
    """A command. ``execute`` returns the reply's ``result``, or raises :class:`~agent.base.errors.RejectedError`,
    :class:`ValueError`, :class:`LookupError` or :class:`TimeoutError`, whose text becomes the reply's ``detail``.

    ``arguments``: name -> type; all of them are required. ``max_bytes``: longest message.
    """

    name: str
    execute: Callable[[CommandContext, Arguments], Awaitable[object]]
    arguments: Mapping[str, ArgumentType] = field(default_factory=dict)
    authority: Authority = Authority.NONE
    max_bytes: int = MAX_BYTES

    @property
    def has_effect(self) -> bool:
        """Whether executing it twice could do harm: its id must be durable before it is executed."""
        return self.authority is not Authority.NONE
