"""Payloads and topics are those of the contract, byte for byte where that matters."""

import hashlib
import json
import zlib
from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.base.reading import Context, Row, packed
from agent.delivery import wire
from agent.store.stream_account import StreamAccount

CONTEXT = Context("7c1f9a02", "b41d0c7e", 2, "5e2190ab")
_names = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True).filter(lambda name: name not in ("t", "q", "ev"))
_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
)
_bodies = st.dictionaries(_names, _values, max_size=20)


def row(seq: int, t: int, **fields: object) -> Row:
    return Row(seq, t, t // 10, CONTEXT, packed(fields))


def test_a_batch_has_the_keys_of_the_contract() -> None:
    rows = [
        row(48211, 1795488000123, temp=4.31, rh=61.2),
        row(48212, 1795488010123, temp=None, rh=61.0, q={"temp": "bad:crc"}),
    ]
    expected = {
        "v": 1,
        "ep": "7c1f9a02",
        "bid": "b41d0c7e",
        "seq": 48211,
        "lo": 48200,
        "cq": 2,
        "mh": "5e2190ab",
        "r": [
            {"t": 1795488000123, "temp": 4.31, "rh": 61.2},
            {"t": 1795488010123, "temp": None, "rh": 61.0, "q": {"temp": "bad:crc"}},
        ],
    }
    for encoding, decode in (("msgpack", msgpack.unpackb), ("json", json.loads)):
        payload = wire.encode_batch(rows, 48200, late=False, encoding=encoding)
        assert decode(payload) == expected
        assert decode(wire.encode_batch(rows, 48200, late=True, encoding=encoding)) == expected | {"h": True}


def test_the_first_byte_tells_the_format() -> None:
    rows = [row(1, 1, a=1)]
    assert wire.encode_batch(rows, 1, False, "json")[0] == ord("{")
    assert 0x80 <= wire.encode_batch(rows, 1, False, "msgpack")[0] <= 0x8F
    assert wire.compress(b"{}")[0] == 0x78


@given(st.lists(_bodies, min_size=1, max_size=5), st.integers(0, 2**43), st.booleans())
def test_any_rows_come_back_as_they_were(bodies: list[dict[str, object]], t: int, late: bool) -> None:
    rows = [Row(7 + at, t + at, 0, CONTEXT, packed(body)) for at, body in enumerate(bodies)]
    expected = [{"t": t + at, **body} for at, body in enumerate(bodies)]
    for encoding in ("msgpack", "json"):
        payload = wire.encode_batch(rows, 3, late, encoding)
        for sent in (payload, wire.compress(payload)):
            batch = wire.parse_batch(wire.decode(sent))
            assert batch == wire.Batch("7c1f9a02", 7, 3, late, expected)


def test_a_row_s_time_stands_first_in_the_smallest_and_in_large_maps() -> None:
    many = {f"f{number}": number for number in range(20)}
    for fields in ({}, {"a": 1}, {f"f{n}": n for n in range(14)}, {f"f{n}": n for n in range(15)}, many):
        message = msgpack.unpackb(wire.encode_batch([row(1, 5, **fields)], 1, False, "msgpack"))
        assert next(iter(message["r"][0].items())) == ("t", 5)
        assert message["r"][0] == {"t": 5, **fields}


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_raises_nothing_else(payload: bytes) -> None:
    with suppress(wire.WireError):
        wire.parse_batch(wire.decode(payload))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"v":2}',
        b'{"v":1,"ep":1}',
        b'{"v":1,"ep":"a","seq":true,"lo":1,"r":[]}',
        b'{"v":1,"ep":"a","seq":1,"lo":1,"r":[{"x":1}]}',
        b"[" * 100_000,
        b'{"v":' + b"[" * 100_000,
    ],
)
def test_what_the_contract_does_not_allow_is_refused(payload: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.parse_batch(wire.decode(payload))


def test_a_compressed_bomb_is_not_unfolded() -> None:
    bomb = zlib.compress(b"{" + b" " * 200_000_000)
    with pytest.raises(wire.WireError):
        wire.decode(bomb)


def test_mh_is_the_hash_of_the_sensors_object_as_it_is_sent() -> None:
    sensors = wire.sensors_object({"fridge-1": {"driver": "ds18b20", "label": "kulkas vaksin °", "fields": {}}})
    payload = wire.meta(sensors, {"model": "Pi"}, {"name": "Batua"})
    start = payload.index(b'"sensors":') + len(b'"sensors":')
    assert hashlib.sha256(payload[start:-1]).hexdigest()[:8] == json.loads(payload)["mh"] == wire.meta_hash(sensors)
    assert json.loads(payload)["sensors"]["fridge-1"]["label"] == "kulkas vaksin °"


def test_topics_are_read_back_whatever_the_root() -> None:
    for root in ("makassar", "id/sulsel/makassar", "v1/makassar"):
        topics = wire.Topics.of(root, "health", "puskesmas-batua", "batua-01")
        assert topics.stream("telemetry/air-1") == f"{root}/v1/health/puskesmas-batua/batua-01/telemetry/air-1"
        address = wire.parse_topic(topics.stream("telemetry/air-1"))
        assert address == wire.Address(root, "health", "puskesmas-batua", "batua-01", "telemetry/air-1")
        assert wire.parse_topic(topics.older_meta("5e2190ab")).leaf == "meta/5e2190ab"
    for other in ("", "a/b/c", "v1/health/s/g/state", "makassar/v1/traffic/s/g/state", "makassar/v2/health/s/g/state"):
        assert wire.parse_topic(other) is None


def test_streams_says_where_every_stream_stands() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 11, settled=[(1, 4)], gone=[(1, 3)])
    numbers = {
        "event/door-1": {"first": account.first("aaaaaaaa"), "lo": account.low_water("aaaaaaaa"), "next": account.next}
    }
    assert json.loads(wire.streams("aaaaaaaa", 5, numbers)) == {
        "v": 1,
        "ep": "aaaaaaaa",
        "t": 5,
        "streams": {"event/door-1": {"first": 3, "lo": 4, "next": 11}},
    }
