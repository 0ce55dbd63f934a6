"""A broker may send anything: the connection ends with a reason, and nothing else happens."""

import asyncio
import itertools
import logging
import random
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agent.delivery.connection import ConnectionRefusedByBroker
from tests.agent.delivery.io.malformed_exchange import SENT, Exchange, play
from tests.support.malformed_packets import (
    CONNECT,
    PINGREQ,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    MalformedPackets,
)

_BATCH = 40
"""Packets of an enumeration that share a connection: what ends it hides those behind it, so the order is drawn."""


@pytest.fixture
async def nothing_unexpected(caplog: pytest.LogCaptureFixture) -> Any:
    """Nothing escapes into the event loop, and no guard meets an error that it does not know."""
    escaped: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: escaped.append(context))
    caplog.set_level(logging.WARNING)
    yield
    assert escaped == []
    assert [line for line in caplog.messages if "internal error" in line] == []


def enumerated(dice: random.Random, version: int) -> Iterator[bytes]:
    packets = MalformedPackets(dice, version, range(1, SENT + 1))
    return itertools.chain(packets.truncations(), packets.reason_codes(), packets.properties())


@pytest.mark.usefixtures("nothing_unexpected")
@pytest.mark.parametrize("version", [4, 5])
async def test_every_truncation_reason_code_and_property_is_survived(version: int) -> None:
    dice = random.Random(version)
    for packet in enumerated(dice, version):
        await play(dice, version, [packet])


@pytest.mark.usefixtures("nothing_unexpected")
@pytest.mark.parametrize("version", [4, 5])
async def test_four_seconds_of_drawn_packets_are_survived(version: int) -> None:
    seed = time.time_ns() % 1_000_000
    dice, end_s, count = random.Random(seed), time.monotonic() + 4.0, 0
    while time.monotonic() < end_s:
        await play(dice, version)
        count += 1
    assert count > 100


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("kind", [PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK])
async def test_only_a_puback_acknowledges(version: int, kind: int) -> None:
    exchange = Exchange(version)
    (first, *_) = await exchange.begin()
    await exchange.send(bytes((kind << 4 | (kind == PUBREL) << 1, 2)) + struct.pack(">H", first))
    await exchange.end()
    assert exchange.acknowledged == []


@pytest.mark.parametrize("kind", [CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, 0])
@pytest.mark.parametrize("version", [4, 5])
async def test_what_only_a_client_sends_ends_the_connection(version: int, kind: int) -> None:
    exchange = Exchange(version)
    await exchange.begin()
    await exchange.send(bytes((kind << 4, 0)))
    assert "not MQTT" in str(await exchange.end())


@pytest.mark.parametrize(("server_s", "expected_s"), [(0, 60), (1, 1), (59, 59), (65_535, 60)])
async def test_a_broker_can_shorten_the_keepalive_but_not_prolong_it(server_s: int, expected_s: int) -> None:
    exchange = Exchange(5, keepalive_s=60)
    exchange.connack = b"\x20\x06\0\0\x03\x13" + struct.pack(">H", server_s)
    await exchange.begin()
    lost = asyncio.create_task(exchange.link.lost())
    await asyncio.sleep(0)
    assert not lost.done()
    assert (exchange.link.keepalive_s, exchange.client.keepalive) == (expected_s, expected_s)
    await exchange.end()
    await lost


@pytest.mark.parametrize(
    ("found", "why"),
    [(b"\x24\0", "does not support QoS 1"), (b"\x27\0\0\x03\xff", "at most 1023")],
    ids=["QoS 0", "tiny packets"],
)
async def test_a_broker_whose_limits_no_reading_fits_into_is_refused_before_any_is_given_up(
    found: bytes, why: str
) -> None:
    exchange = Exchange(5)
    exchange.connack = bytes((0x20, 3 + len(found), 0, 0, len(found))) + found
    with pytest.raises(ConnectionRefusedByBroker, match=why):
        await exchange.begin()
    await exchange.end()


@pytest.mark.parametrize("version", [4, 5])
async def test_a_broker_that_sends_without_end_and_reads_nothing_fills_no_memory(version: int) -> None:
    exchange = Exchange(version)
    await exchange.begin()
    message = well_formed_publish(version)
    for _ in range(300):
        await exchange.send(message * 100)
    assert exchange.client.unsent() < 2000
    lost = await exchange.end()
    assert "without reading" in str(lost)


def well_formed_publish(version: int) -> bytes:
    """A message with QoS 1."""
    body = b"\0\1a\0\1" + (b"\0" if version == 5 else b"") + b"x"
    return bytes((PUBLISH << 4 | 2, len(body))) + body
