"""What makes one message: its size, its context, its encoding."""

from dataclasses import replace

import pytest

from agent.config.settings import Publish
from agent.delivery import wire
from agent.delivery.connection import Limits
from tests.agent.delivery.delivery_bench import AIR, Bench
from tests.agent.fakes import MH


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_batches_keep_the_broker_s_packet_size(bench: Bench) -> None:
    bench.connect(Limits(packet_bytes=1024))
    bench.measure(AIR, 100, size=50)
    sent = await bench.send()
    assert len(sent) > 5
    assert max(len(one.payload) for one in sent) <= 1024 - 256
    assert [number for one in sent for number in one.numbers] == list(range(1, 101))


async def test_a_batch_is_at_most_64_kib(bench: Bench) -> None:
    bench.measure(AIR, 250, size=1000)
    sent = await bench.send()
    while more := [one for one in sent if bench.acknowledge(one)] or await bench.send():
        sent += more
    assert max(len(one.payload) for one in sent) <= 65_536
    assert [number for one in sent for number in one.numbers] == list(range(1, 251))


async def test_a_row_that_no_message_can_carry_is_given_up_and_the_next_one_passes(bench: Bench) -> None:
    bench.connect(Limits(packet_bytes=1024))
    bench.measure(AIR, 1, size=2000)
    bench.measure(AIR, 1, size=10)
    sent = await bench.send()
    assert [one.numbers for one in sent] == [[2]]
    (event,) = bench.store.announced
    assert (event["ev"], event["why"], event["from"], event["to"]) == ("rows_lost", "rejected", 1, 1)
    assert bench.store.accounts[AIR].low_water("aaaaaaaa") == 2


async def test_a_message_has_one_context(bench: Bench) -> None:
    bench.measure(AIR, 2, meta_hash="01d00000")
    bench.measure(AIR, 2)
    sent = await bench.send()
    assert [one.stream for one in sent] == ["meta/01d00000", AIR, AIR]
    assert [(one.message["mh"], one.numbers) for one in sent[1:]] == [("01d00000", [1, 2]), (MH, [3, 4])]
    assert sent[0].message["sensors"] == {"old": {}}
    assert not sent[0].retain


async def test_a_description_is_sent_once_a_connection(bench: Bench) -> None:
    for _ in range(2):
        bench.store.put(AIR, 2, meta_hash="01d00000")
        bench.restart()
        sent = await bench.send()
        assert sent[0].stream == "meta/01d00000"
        bench.acknowledge(*sent)
        bench.measure(AIR, 1, meta_hash="01d00000")
        assert [one.stream for one in await bench.send()] == [AIR]


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_encoding_and_compression_are_as_configured(bench: Bench, encoding: str) -> None:
    bench.settings = replace(Publish(), encoding=encoding, compress="zlib")
    bench.connect()
    bench.measure(AIR, 50)
    (sent,) = await bench.send()
    assert sent.payload[0] == 0x78
    assert (sent.encoding, sent.content_type) == ("zlib", wire.CONTENT_TYPES[encoding])
    assert len(sent.numbers) == 50


def test_what_carries_no_rows_is_retained_where_that_is_asked_for_and_counts_in_the_window(bench: Bench) -> None:
    for retain in (False, True):
        mid = bench.delivery.publisher.announce("topic", b"{}", retain)
        assert (bench.link.sent[-1].mid, bench.link.sent[-1].retain) == (mid, retain)
        assert bench.link.sent[-1].content_type == "application/json"
    assert len(bench.delivery.window) == 2


def test_a_message_fits_below_the_broker_s_packet_size(bench: Bench) -> None:
    bench.connect(Limits(packet_bytes=1000))
    assert [bench.delivery.publisher.fits(bytes(size)) for size in (743, 744, 745)] == [True, True, False]


async def test_rows_whose_description_is_not_known_are_sent_all_the_same(bench: Bench) -> None:
    bench.measure(AIR, 1, meta_hash="ffffffff")
    assert [sent.stream for sent in await bench.send()] == [AIR]
