"""What a broker may do to the agent, one unkindness at a time. Real store, real MQTT client, a scripted broker."""

import json
from collections.abc import Mapping
from pathlib import Path

from agent.config.settings import Publish
from agent.delivery.timings import DeliveryTimings
from tests.integration.counted_rows import COUNT, hurried, introduced, values
from tests.support.gateway import TOPICS, gateway
from tests.support.mosquitto import until
from tests.support.mqtt_packets import Publish as Message
from tests.support.scripted_broker import ScriptedBroker, Session


async def test_a_swallowed_acknowledgement_is_waited_for_and_the_rows_sent_again_as_late(tmp_path: Path) -> None:
    swallowed: list[Message] = []

    def swallow_one(session: Session, publish: Message) -> int | None:
        if publish.leaf == COUNT and not swallowed:
            swallowed.append(publish)
            return None
        return 0

    async with ScriptedBroker(answer=swallow_one) as broker, hurried(tmp_path, broker) as running:
        running.measure("count-1", 1, 2, 3)
        await until(lambda: bool(swallowed))
        running.measure("count-1", 4)
        await running.settled()
        first, *others = broker.batches(COUNT)
    assert values(broker) == [1, 2, 3, 4]
    again = [batch for batch in others if batch.seq < first.seq + len(first.rows)]
    assert again
    assert all(batch.late for batch in again)
    assert len(broker.sessions) == 1, "others were acknowledged after it: the connection works"


async def test_what_was_not_acknowledged_when_the_link_broke_comes_again_and_live_order_is_kept(tmp_path: Path) -> None:
    def hang_up(session: Session, publish: Message) -> int | None:
        if publish.leaf == COUNT and len(broker.sessions) == 1:
            session.writer.close()
            return None
        return 0

    async with ScriptedBroker(answer=hang_up) as broker, hurried(tmp_path, broker) as running:
        running.measure("count-1", *range(20))
        await until(lambda: len(broker.sessions) == 2)
        running.measure("count-1", *range(20, 30))
        await running.settled()
    assert values(broker) == list(range(30))
    live = [batch.seq for batch in broker.batches(COUNT) if not batch.late]
    assert live == sorted(set(live))


async def test_receive_maximum_and_maximum_packet_size_are_obeyed(tmp_path: Path) -> None:
    async with (
        ScriptedBroker.limited(1, 1024, ack_delay_s=0.01) as broker,
        gateway(tmp_path, broker.url) as running,
    ):
        for start in range(0, 200, 50):
            running.measure("count-1", *range(start, start + 50), words="x" * 40)
            running.measure("count-2", *range(start, start + 50))
        await running.settled()
        await running.settled("count-2")
    assert values(broker) == values(broker, "telemetry/count-2") == list(range(200))
    assert [one.most_open for one in broker.sessions] == [1]
    assert max(one.size_bytes for one in broker.published()) <= 1024


async def test_a_row_that_no_packet_can_hold_is_given_up_alone_and_told(tmp_path: Path) -> None:
    async with ScriptedBroker.limited(10, 1024) as broker, gateway(tmp_path, broker.url) as running:
        running.measure("count-1", 1)
        running.measure("count-1", 2, words="x" * 2000)
        running.measure("count-1", 3)
        await running.settled()
        await until(lambda: bool(broker.events("rows_lost")))
    assert values(broker) == [1, 3]
    assert_lost(broker, 2)


async def test_a_refused_topic_waits_and_the_others_flow(tmp_path: Path) -> None:
    refused, timings = True, DeliveryTimings(pause_s=0.3)

    def deny(session: Session, publish: Message) -> int | None:
        return 0x87 if refused and publish.leaf == COUNT else 0

    async with ScriptedBroker(answer=deny) as broker, gateway(tmp_path, broker.url, timings=timings) as running:
        running.measure("count-1", 1, 2)
        running.measure("count-2", 1, 2)
        await running.settled("count-2")
        await until(lambda: len(broker.batches(COUNT)) == 2)
        assert running.unsettled("count-1") == 2
        refused = False
        await running.settled()
    assert values(broker) == [1, 2]
    assert broker.events("rows_lost") == []
    assert len(broker.sessions) == 1


async def test_a_refused_payload_is_halved_until_one_row_is_given_up_and_told(tmp_path: Path) -> None:
    def dislike_13(session: Session, publish: Message) -> int | None:
        poisoned = publish.leaf == COUNT and any(row["n"] == 13 for row in publish.batch.rows)
        return 0x99 if poisoned else 0

    async with ScriptedBroker(answer=dislike_13) as broker, gateway(tmp_path, broker.url) as running:
        running.measure("count-1", *range(40))
        await running.settled()
        await until(lambda: bool(broker.events("rows_lost")))
        running.measure("count-1", 40)
        await running.settled()
        taken = [
            row["n"]
            for batch in broker.batches(COUNT)
            for row in batch.rows
            if all(other["n"] != 13 for other in batch.rows)
        ]
    assert set(taken) == {*range(41)} - {13}
    assert_lost(broker, 14)


def assert_lost(broker: ScriptedBroker, number: int) -> None:
    """The agent has told of this one number, and of nothing else."""
    (event,) = broker.events("rows_lost")
    assert event["stream"] == COUNT
    assert (event["from"], event["to"], event["n"], event["why"]) == (number, number, 1, "rejected")


async def test_acknowledgements_that_were_given_before_or_invented_change_nothing(tmp_path: Path) -> None:
    def acknowledge_others(session: Session, publish: Message) -> int | None:
        for mid in (1, 2, 3, 4000, 65535):
            session.acknowledge(mid)
        return None if publish.leaf == COUNT else 0

    async with ScriptedBroker(answer=acknowledge_others) as broker, gateway(tmp_path, broker.url) as running:
        await introduced(broker)
        running.measure("count-1", 1, 2)
        await until(lambda: COUNT in broker.sessions[-1].leaves())
        running.measure("count-2", 1)
        await running.settled("count-2")
        assert running.unsettled("count-1") == 2
        assert len(broker.sessions) == 1


async def test_numbers_that_the_broker_knows_already_are_never_given_again(tmp_path: Path) -> None:
    """An old copy of the store was put back: its numbers would repeat."""
    async with ScriptedBroker() as broker:
        async with gateway(tmp_path, broker.url) as running:
            running.measure("count-1", 1, 2, 3)
            await running.settled()
            old = running.store.epoch
        ahead = json.loads(broker.retained[TOPICS.streams])
        ahead["streams"][COUNT]["next"] = 100
        broker.retained[TOPICS.streams] = json.dumps(ahead).encode()
        async with gateway(tmp_path, broker.url) as running:
            running.measure("count-1", 4, 5)
            await running.settled()
            new = running.store.epoch
            await until(lambda: bool(broker.events("store_reset")))
    assert new != old
    assert broker.events("store_reset")[0]["why"] == "behind_broker"
    by_epoch: dict[str, list[object]] = {}
    for (epoch, _), row in sorted(broker.rows(COUNT).items()):
        by_epoch.setdefault(epoch, []).append(row["n"])
    assert by_epoch == {old: [1, 2, 3], new: [4, 5]}
    leaves = broker.sessions[1].leaves()
    assert leaves.index(COUNT) > leaves.index("streams")
    states = [publish.message for publish in broker.sessions[1].published if publish.leaf == "state"]
    assert states[1]["ep"] == new
    assert json.loads(broker.retained[TOPICS.streams])["ep"] == new


async def test_a_retained_streams_that_is_behind_or_nonsense_changes_nothing(tmp_path: Path) -> None:
    async with ScriptedBroker() as broker:
        async with gateway(tmp_path, broker.url) as running:
            running.measure("count-1", 1, 2, 3)
            await running.settled()
            epoch = running.store.epoch
        behind = b'{"v":1,"ep":"%s","streams":{"%s":{"next":2}}}' % (epoch.encode(), COUNT.encode())
        for sessions, kept in enumerate((b"{", b'{"v":1,"ep":1,"streams":[]}', behind), 2):
            broker.retained[TOPICS.streams] = kept
            async with gateway(tmp_path, broker.url) as running:
                await introduced(broker, sessions)
                assert running.store.epoch == epoch
    assert broker.events("store_reset") == []


async def test_an_older_description_goes_before_the_late_rows_that_need_it(tmp_path: Path) -> None:
    async with gateway(tmp_path, "mqtt://127.0.0.1:1", described="n") as running:
        running.measure("count-1", 1, 2)
        await running.store.flush()
        old = running.store.meta_hash
    async with ScriptedBroker() as broker, gateway(tmp_path, broker.url, described="m") as running:
        running.measure("count-1", 3)
        await running.settled()
        leaves = broker.sessions[0].leaves()
        late = next(one for one in broker.published() if one.leaf == COUNT and one.message.get("h"))
        older = next(one for one in broker.published() if one.leaf == f"meta/{old}")
    assert late.message["mh"] == old
    assert leaves.index(f"meta/{old}") < broker.sessions[0].published.index(late)
    assert older.message["mh"] == old
    assert not older.retain
    assert values(broker) == [1, 2, 3]


async def test_json_is_sent_where_the_configuration_asks_for_it(tmp_path: Path) -> None:
    publish = Publish(max_delay_s=0.05, encoding="json")
    async with ScriptedBroker() as broker, gateway(tmp_path, broker.url, publish) as running:
        running.measure("count-1", 1)
        await running.settled()
        (sent,) = [one for one in broker.published() if one.leaf == COUNT]
    assert sent.content_type == "application/json"
    assert row_of(sent)["n"] == 1


def row_of(publish: Message) -> Mapping[str, object]:
    """The only row of a JSON batch, read without the agent's own decoder."""
    (row,) = json.loads(publish.payload)["r"]
    assert isinstance(row, dict)
    return row
