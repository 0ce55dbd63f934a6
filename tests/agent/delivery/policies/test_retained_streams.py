"""What the broker has kept of the gateway's own numbers: strictly parsed, and compared with the store."""

import pytest

from agent.delivery import wire
from agent.delivery.policies.retained_streams import RetainedStreams
from agent.store.stream_account import StreamAccount

AIR = "telemetry/air-1"


def accounts() -> dict[str, StreamAccount]:
    return {AIR: StreamAccount([(1, "aaaaaaaa"), (4, "bbbbbbbb")], 7)}


def retained(epoch: str, name: str = AIR, low_water: int = 5, following: int = 9) -> RetainedStreams:
    return RetainedStreams.parse(wire.streams(epoch, 1, {name: {"first": 1, "lo": low_water, "next": following}}))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b'{"v":1}',
        b'{"v":1,"ep":7,"streams":{}}',
        b'{"v":1,"ep":"xyz","streams":{}}',
        b'{"v":1,"ep":"aaaaaaaa","streams":[]}',
        b'{"v":1,"ep":"aaaaaaaa","streams":{"telemetry/air-1":9}}',
        b'{"v":1,"ep":"aaaaaaaa","streams":{"telemetry/air-1":{"next":-1}}}',
        b'{"v":1,"ep":"aaaaaaaa","streams":{"telemetry/air-1":{"next":true}}}',
        b'{"v":1,"ep":"aaaaaaaa","streams":{"a/b/c":{"next":9}}}',
    ],
)
def test_a_message_that_is_not_of_the_contract_says_nothing(payload: bytes) -> None:
    found = RetainedStreams.parse(payload)
    assert not found.streams
    assert not found.is_ahead("aaaaaaaa", accounts())
    assert list(found.lost(accounts())) == []


def test_the_broker_is_ahead_where_it_knows_numbers_that_the_store_has_not_assigned() -> None:
    assert retained("bbbbbbbb", following=8).is_ahead("bbbbbbbb", accounts())
    assert not retained("bbbbbbbb", following=7).is_ahead("bbbbbbbb", accounts())
    assert retained("bbbbbbbb", "event/new", following=2).is_ahead("bbbbbbbb", accounts())
    assert not retained("bbbbbbbb", "event/new", following=1).is_ahead("bbbbbbbb", accounts())
    assert not retained("aaaaaaaa").is_ahead("bbbbbbbb", accounts())


def test_unsettled_rows_of_an_epoch_that_the_store_does_not_know_are_lost() -> None:
    assert list(retained("cccccccc").lost(accounts())) == [(AIR, "cccccccc", 5, 9)]
    assert list(retained("cccccccc", low_water=9).lost(accounts())) == []
    assert list(retained("aaaaaaaa").lost(accounts())) == [], "an earlier epoch of this store"
    assert list(retained("cccccccc", "event/new").lost(accounts())) == [], "a store that never had this stream"
