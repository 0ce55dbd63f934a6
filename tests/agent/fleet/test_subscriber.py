"""Messages in, rows out: each once, with their units; and gaps."""

import json

from agent.base.events import rows_lost
from agent.base.reading import Context, Row, packed
from agent.delivery import wire
from agent.fleet.gap_ledger import Gap, Ledger, StreamId
from agent.fleet.subscriber import Arrival, Subscriber

TOPICS = wire.Topics.of("makassar", "health", "puskesmas-batua", "batua-01")
CONTEXT = Context("aaaaaaaa", "b41d0c7e", 1, "5e2190ab")


def batch(*rows: tuple[int, dict[str, object]], low_water: int = 1, late: bool = False) -> bytes:
    return wire.encode_batch(
        [Row(seq, 1000 + seq, 0, CONTEXT, packed(fields)) for seq, fields in rows], low_water, late, "msgpack"
    )


def test_each_row_arrives_once() -> None:
    subscriber = Subscriber()
    topic = TOPICS.stream("telemetry/air-1")
    first = subscriber.on_message(topic, batch((1, {"pm10": 1.5}), (2, {"pm10": 2.5})), 0.0)
    again = subscriber.on_message(topic, batch((2, {"pm10": 2.5}), (3, {"pm10": 3.5}), late=True), 0.0)
    of = StreamId("batua-01", "telemetry/air-1", "aaaaaaaa")
    assert first == [Arrival(of, 1, {"t": 1001, "pm10": 1.5}, False), Arrival(of, 2, {"t": 1002, "pm10": 2.5}, False)]
    assert again == [Arrival(of, 3, {"t": 1003, "pm10": 3.5}, True)]
    assert (again[0].kind, again[0].sensor) == ("telemetry", "air-1")


def test_units_come_from_meta() -> None:
    subscriber = Subscriber()
    sensors = {"air-1": {"driver": "sds011", "fields": {"pm10": {"unit": "ug/m3", "kind": "gauge"}}}}
    subscriber.on_message(TOPICS.meta, wire.meta(wire.sensors_object(sensors), {}, {}), 0.0)
    assert subscriber.unit("batua-01", "air-1", "pm10") == "ug/m3"
    assert subscriber.unit("batua-01", "air-1", "other") == subscriber.unit("pos-1", "air-1", "pm10") == ""


def test_a_lost_event_gives_a_gap_and_explains_the_hole() -> None:
    subscriber = Subscriber()
    topic = TOPICS.stream("telemetry/air-1")
    subscriber.on_message(topic, batch((1, {"pm10": 1.0})), 0.0)
    event = rows_lost("telemetry/air-1", "aaaaaaaa", 2, 5, "overflow")
    items = subscriber.on_message(TOPICS.stream("event/_agent"), batch((1, event)), 0.0)
    assert items[1] == Gap(StreamId("batua-01", "telemetry/air-1", "aaaaaaaa"), 2, 5, "overflow")
    subscriber.on_message(topic, batch((5, {"pm10": 1.0}), low_water=5), 0.0)
    assert subscriber.gaps(100.0) == []


def test_nonsense_on_the_topics_is_counted_and_changes_nothing() -> None:
    subscriber = Subscriber()
    for topic, payload in (
        (TOPICS.stream("telemetry/air-1"), b"\xff\xff"),
        (TOPICS.streams, json.dumps({"v": 1, "ep": 1, "streams": []}).encode()),
        (TOPICS.stream("event/_agent"), batch((1, {"ev": "rows_lost", "stream": 5})).replace(b"\x01", b"\xc1")),
    ):
        assert subscriber.on_message(topic, payload, 0.0) == []
    assert subscriber.invalid == 3
    assert subscriber.on_message("weather/today", b"sunny", 0.0) == []
    assert subscriber.on_message(TOPICS.state, b'{"v":1}', 0.0) == []
    assert subscriber.invalid == 3


def test_odd_values_in_meta_and_lost_do_not_break_the_subscriber() -> None:
    subscriber = Subscriber()
    subscriber.on_message(TOPICS.meta, b'{"v":1,"sensors":{"air-1":5,"b":{"fields":{"x":{"unit":7}}}}}', 0.0)
    assert subscriber.unit("batua-01", "air-1", "x") == subscriber.unit("batua-01", "b", "x") == ""
    odd = {"ev": "rows_lost", "stream": "telemetry/a", "ep": "aaaaaaaa", "from": 9, "to": 3}
    assert len(subscriber.on_message(TOPICS.stream("event/_agent"), batch((1, odd)), 0.0)) == 1


def test_the_account_of_an_ended_epoch_is_closed_when_streams_names_it_no_more() -> None:
    subscriber = Subscriber()
    numbers = {"first": 1, "lo": 1, "next": 6}
    told = [
        ("aaaaaaaa", numbers),
        ("bbbbbbbb", {"first": 6, "lo": 6, "next": 6, "before": [{"ep": "aaaaaaaa", "next": 6}]}),
        ("bbbbbbbb", {"first": 6, "lo": 6, "next": 6}),
    ]
    row = packed({"v": 1, "ep": "aaaaaaaa", "seq": 1, "lo": 1, "r": [{"t": 1}, {"t": 2}]})
    subscriber.on_message(TOPICS.stream("telemetry/a"), row, 0.0)
    gaps = []
    for at, (epoch, entry) in enumerate(told):
        subscriber.on_message(TOPICS.streams, wire.streams(epoch, 0, {"telemetry/a": entry}), 100.0 * at)
        gaps.append([(gap.stream_id.epoch, gap.start, gap.stop) for gap in subscriber.gaps(100.0 * at + 50)])
    assert gaps == [[], [], [("aaaaaaaa", 3, 6)]]


def test_a_list_of_ended_epochs_that_makes_no_sense_is_ignored() -> None:
    subscriber = Subscriber()
    for before in (7, ["x"], [{"ep": 1, "next": "x"}], {"ep": "aaaaaaaa"}):
        entry = {"first": 1, "lo": 1, "next": 1, "before": before}
        assert subscriber.on_message(TOPICS.streams, wire.streams("bbbbbbbb", 0, {"telemetry/a": entry}), 0.0) == []
    assert subscriber.invalid == 0


def test_holes_that_are_too_many_to_keep_are_reported_as_untracked() -> None:
    subscriber = Subscriber()
    subscriber.ledger = Ledger(max_ranges=20)
    topic = TOPICS.stream("telemetry/air-1")
    items = [
        item for seq in range(1, 201, 2) for item in subscriber.on_message(topic, batch((seq, {"pm10": 1.0})), 0.0)
    ]
    untracked = [(item.start, item.stop, item.why) for item in items if isinstance(item, Gap)]
    assert untracked[0] == (2, 3, "untracked")
    (tally,) = subscriber.ledger.tally().values()
    assert len(untracked) == tally.late >= 80
    assert subscriber.ledger.size("batua-01") <= 21
