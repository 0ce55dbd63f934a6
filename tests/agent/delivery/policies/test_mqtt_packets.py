"""Packets of a connection are bounded before they are buffered, in any chunking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.policies.mqtt_packets import OVERSIZED_TOPIC, MalformedPacket, Oversized, PacketFilter
from tests.support.mqtt_packets import variable_length

ACK = b"\x40\x02\x00\x05"


def publish(topic: bytes, mid: int, payload: bytes, qos: int = 1, mqtt5: bool = False) -> bytes:
    body = len(topic).to_bytes(2) + topic + (mid.to_bytes(2) if qos else b"") + (b"\0" if mqtt5 else b"") + payload
    return bytes((0x30 | qos << 1,)) + variable_length(len(body)) + body


def passed(packets: PacketFilter, stream: bytes, cuts: list[int]) -> bytes:
    found, at = b"", 0
    for size in cuts:
        found += packets.feed(stream[at : at + size])
        at += size
    return found + packets.feed(stream[at:])


@given(st.lists(st.integers(1, 400), max_size=40), st.booleans())
def test_what_is_short_passes_unchanged_and_what_is_long_leaves_an_empty_message(cuts: list[int], mqtt5: bool) -> None:
    short, long = publish(b"a/b", 7, b"x" * 10, mqtt5=mqtt5), publish(b"t" * 300, 9, b"y" * 3000, mqtt5=mqtt5)
    packets = PacketFilter(1000, mqtt5)
    stream = short + long + ACK + publish(b"q0", 0, b"z" * 3000, qos=0, mqtt5=mqtt5) + short
    stand_in = publish(OVERSIZED_TOPIC.encode(), 9, b"", mqtt5=mqtt5)
    assert passed(packets, stream, cuts) == short + stand_in + ACK + short
    assert [one.topic for one in packets.oversized] == ["t" * 300, "q0"]


def test_the_limit_counts_the_whole_packet() -> None:
    overhead = len(publish(b"a", 1, b"x" * 900)) - 900
    for payload_bytes, count in ((1000 - overhead, 0), (1001 - overhead, 1)):
        packets = PacketFilter(1000, mqtt5=False)
        packets.feed(publish(b"a", 1, b"x" * payload_bytes))
        assert len(packets.oversized) == count


def test_a_length_that_lies_keeps_nothing() -> None:
    packets = PacketFilter(1000, mqtt5=False)
    assert packets.feed(b"\x32" + variable_length(200_000_000) + b"\xff\xff" + b"x" * 10_000) == b""
    assert packets.oversized == []


def test_a_long_message_without_a_topic_is_passed_over() -> None:
    packets = PacketFilter(10, mqtt5=False)
    assert packets.feed(b"\x32" + variable_length(2000) + b"\xff\xff" + b"x" * 1998 + ACK) == ACK
    assert packets.oversized[0] == Oversized("x" * 1998, 2000)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x32\xff\xff\xff\xff",
        publish(b"a", 1, b"", qos=2),
        publish(b"a", 1, b"", qos=3),
        b"\x90" + variable_length(5000),
    ],
    ids=["a length of mqtt5 bytes", "QoS 2", "QoS 3", "a long SUBACK"],
)
def test_what_is_not_mqtt_is_told(raw: bytes) -> None:
    with pytest.raises(MalformedPacket):
        PacketFilter(1000, mqtt5=False).feed(raw)
