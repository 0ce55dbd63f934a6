"""Who may have a command executed, and until when."""

import pytest

from agent.commands.authorization import LIFETIME_MS, authorize
from agent.commands.command import Command
from agent.commands.registry import COMMANDS
from agent.config.settings import Commands

NOW_MS = 1_795_000_000_000
ENVELOPE = b"{}"


def command(name: str = "ping", expires_ms: int = NOW_MS + 1000, envelope: bytes = b"", fault: str = "") -> Command:
    return Command("a1", name, expires_ms, {}, envelope, fault)


def outcome(asked: Command, settings: Commands | None = None, clock_is_set: bool = True) -> tuple[str, str]:
    denial = authorize(asked, settings or Commands(), NOW_MS, clock_is_set)
    return ("", "") if denial is None else (denial.status, denial.detail)


def test_a_command_without_effect_needs_nothing_but_an_expiry() -> None:
    assert outcome(command()) == ("", "")
    assert outcome(command(expires_ms=0)) == ("rejected", "exp is missing or not an integer")
    assert outcome(command(fault="duplicate key")) == ("rejected", "duplicate key")
    assert outcome(command("dance")) == ("rejected", "there is no such command")


def test_a_command_expires_unless_the_clock_is_not_set() -> None:
    assert outcome(command(expires_ms=NOW_MS)) == ("expired", "it has expired")
    assert outcome(command(expires_ms=NOW_MS + 1)) == ("", "")
    assert outcome(command(expires_ms=NOW_MS), clock_is_set=False) == ("", "")


def test_a_signed_command_expires_soon() -> None:
    latest_ms = NOW_MS + LIFETIME_MS + 60_000
    late = ("rejected", "a signed command must expire within 10 minutes")
    assert outcome(command(expires_ms=latest_ms, envelope=ENVELOPE)) == ("", "")
    assert outcome(command(expires_ms=latest_ms + 1, envelope=ENVELOPE)) == late
    assert outcome(command(expires_ms=latest_ms + 1)) == ("", "")
    assert outcome(command(expires_ms=latest_ms + 1, envelope=ENVELOPE), clock_is_set=False) == ("", "")


@pytest.mark.parametrize("name", ["restart", "output", "flush"])
def test_a_command_with_an_effect_on_site_must_be_allowed_and_signed_at_a_known_time(name: str) -> None:
    allowed = Commands(allow=(name,))  # type: ignore[arg-type]
    signed = command(name, envelope=ENVELOPE)
    assert outcome(signed, allowed) == ("", "")
    assert outcome(signed) == ("rejected", "this gateway does not allow it")
    assert outcome(command(name), allowed) == ("rejected", "it must be signed")
    assert outcome(signed, allowed, clock_is_set=False) == ("rejected", "the clock of the gateway is not set")
    unsigned = Commands(allow=(name,), signed=False)  # type: ignore[arg-type]
    assert outcome(command(name), unsigned) == ("", "")


@pytest.mark.parametrize("name", ["renew", "certificate"])
def test_a_command_about_the_certificate_is_always_signed(name: str) -> None:
    assert outcome(command(name), Commands(signed=False)) == ("rejected", "it must be signed")
    assert outcome(command(name, envelope=ENVELOPE)) == ("", "")


def test_the_commands_that_need_authority_are_these() -> None:
    assert {name for name, kind in COMMANDS.items() if kind.has_effect} == {
        "restart",
        "output",
        "flush",
        "renew",
        "certificate",
    }
