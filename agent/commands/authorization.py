"""Decides whether a command may be executed. No I/O; the time comes as an argument."""

from dataclasses import dataclass

from agent.commands.command import Command
from agent.commands.command_type import Authority
from agent.commands.registry import COMMANDS
from agent.config.settings import Commands

LIFETIME_MS = 600_000
"""How far ahead a signed command may expire; its id is kept until then."""
_TOLERANCE_MS = 60_000
"""By how much the maintainer's clock may be ahead of the gateway's."""


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a command is not executed. ``status``: of the reply, ``rejected`` or ``expired``."""

    status: str
    detail: str


def authorize(command: Command, settings: Commands, now_ms: int, clock_is_set: bool) -> Denial | None:
    """Return why a command must not be executed, or ``None``. The signature of its envelope is not checked here.

    ``settings``: from the gateway's own file.
    """
    if command.fault:
        return Denial("rejected", command.fault)
    if command.name not in COMMANDS:
        return Denial("rejected", "there is no such command")
    authority, signed = COMMANDS[command.name].authority, bool(command.envelope)
    if authority is Authority.SIGNATURE and not signed:
        return Denial("rejected", "it must be signed")
    if authority is Authority.SITE:
        if command.name not in settings.allow:
            return Denial("rejected", "this gateway does not allow it")
        if settings.signed and not signed:
            return Denial("rejected", "it must be signed")
        if not clock_is_set:
            return Denial("rejected", "the clock of the gateway is not set")
    if not command.expires_ms:
        return Denial("rejected", "exp is missing or not an integer")
    if clock_is_set and command.expires_ms <= now_ms:
        return Denial("expired", "it has expired")
    if clock_is_set and signed and command.expires_ms > now_ms + LIFETIME_MS + _TOLERANCE_MS:
        return Denial("rejected", "a signed command must expire within 10 minutes")
    return None
