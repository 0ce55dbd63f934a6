"""Messages that were refused, and when another look is worth it."""

import pytest

from agent.base.errors import RejectedError
from agent.base.reading import Stamp
from agent.delivery.connection import Message
from agent.update.inbox import UpdateInbox
from agent.update.timings import UpdateTimings

EXPIRED = RejectedError("expired", "over", "expires")
UNSET, SET = Stamp(1_000, 500, 0), Stamp(1_800_000_000_000, 500_000, 1)


def _inbox(code: str, now: Stamp) -> UpdateInbox:
    inbox = UpdateInbox(UpdateTimings())
    inbox.on_message(Message("a/config/desired", b"one", True))
    inbox.begin("desired")
    inbox.defer("desired", inbox.pop("desired"), RejectedError(code, "why"), now)
    return inbox


@pytest.mark.parametrize(
    ("code", "before", "now", "again"),
    [
        ("expired", UNSET, Stamp(11_000, 10_500, 0), False),
        ("expired", UNSET, Stamp(1_800_000_000_000, 10_500, 2), True),
        ("issued", UNSET, Stamp(11_000, 10_500, 1), True),
        ("expired", SET, Stamp(SET.t + 10_000, SET.mono_ms + 10_000, 2), False),
        ("expired", SET, Stamp(SET.t - 86_400_000, SET.mono_ms + 10_000, 1), True),
        ("issued", SET, Stamp(SET.t + 3_700_000, SET.mono_ms + 3_700_000, 1), True),
        ("schema", UNSET, SET, False),
        ("target", UNSET, SET, False),
    ],
)
async def test_a_clock_that_is_set_is_a_reason_to_look_again(code: str, before: Stamp, now: Stamp, again: bool) -> None:
    inbox = _inbox(code, before)
    assert inbox.unchanged_hash
    inbox.retry_if_due(now)
    assert inbox.pop("desired") == (b"one" if again else b"")
    assert bool(inbox.unchanged_hash) != again


async def test_a_newer_message_takes_the_place_of_the_one_that_was_put_by() -> None:
    inbox = _inbox("expired", UNSET)
    inbox.on_message(Message("a/config/desired", b"two", True))
    inbox.retry_if_due(SET)
    assert inbox.pop("desired") == b"two"
    inbox.retry()
    assert inbox.pop("desired") == b""


async def test_what_is_too_large_is_not_kept() -> None:
    inbox = _inbox("too_large", UNSET)
    inbox.retry()
    assert inbox.pop("desired") == b""
