"""What a broker does wrong, over every kind of connection: nothing is lost, and nothing is freed wrongly."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.counted_rows import COUNT, introduced, values
from tests.integration.network.broker_kind import QUICK, Kind
from tests.support.gateway import TOPICS
from tests.support.mosquitto import until
from tests.support.mqtt_packets import MAXIMUM_PACKET, RECEIVE_MAXIMUM
from tests.support.mqtt_packets import Publish as Message
from tests.support.scripted_broker import Session


async def test_b02_a_puback_that_is_lost_costs_two_timeouts_at_most(tmp_path: Path, kind: Kind) -> None:
    came_s: list[float] = []

    def swallow_one(session: Session, publish: Message) -> int | None:
        if publish.leaf != COUNT:
            return 0
        came_s.append(asyncio.get_running_loop().time())
        return None if len(came_s) == 1 else 0

    async with kind.broker(answer=swallow_one) as broker, kind.gateway(tmp_path, broker.port) as running:
        await introduced(broker)
        running.measure("count-1", 1, 2, 3)
        await running.settled()
        assert values(broker) == [1, 2, 3]
        assert came_s[1] - came_s[0] < 2 * QUICK.ack_s + 1.0
        assert len(broker.sessions) == 2, "nothing else was acknowledged after it: the link is not trusted"


async def test_b03_a_puback_again_or_for_nothing_frees_no_row(tmp_path: Path, kind: Kind) -> None:
    def acknowledge_others(session: Session, publish: Message) -> int | None:
        for mid in (0, 1, 2, 3, 4000, 65_535):
            session.acknowledge(mid)
        return None if publish.leaf == COUNT else 0

    async with kind.broker(answer=acknowledge_others) as broker, kind.gateway(tmp_path, broker.port) as running:
        await introduced(broker)
        running.measure("count-1", 1, 2)
        await until(lambda: COUNT in broker.sessions[-1].leaves())
        running.measure("count-2", 1)
        await running.settled("count-2")
        assert running.unsettled("count-1") == 2
        broker.answer = lambda session, publish: 0
        await running.settled()
        assert values(broker) == [1, 2]


@pytest.mark.parametrize("reason", [0x80, 0x83, 0x87, 0x90, 0x91, 0x97])
async def test_b04_a_puback_with_an_error_keeps_the_row(tmp_path: Path, kind_5: Kind, reason: int) -> None:
    refused: list[Message] = []

    def refuse_once(session: Session, publish: Message) -> int | None:
        if publish.leaf == COUNT and len(refused) < 2:
            refused.append(publish)
            return reason
        return 0

    async with kind_5.broker(answer=refuse_once) as broker, kind_5.gateway(tmp_path, broker.port) as running:
        running.measure("count-1", 1, 2)
        await running.settled()
        assert len(refused) == 2
        assert values(broker) == [1, 2]
        assert broker.events("rows_lost") == []
        assert len(broker.sessions) == 1


@pytest.mark.parametrize("present", [True, False])
async def test_b05_whatever_the_broker_says_of_a_session_all_is_subscribed_and_sent_again(
    tmp_path: Path, kind: Kind, present: bool
) -> None:
    def hang_up(session: Session, publish: Message) -> int | None:
        if publish.leaf == COUNT and len(broker.sessions) == 1:
            broker.session_present = present
            session.writer.close()
            return None
        return 0

    async with kind.broker(answer=hang_up) as broker, kind.gateway(tmp_path, broker.port) as running:
        broker.session_present = not present
        await introduced(broker)
        running.measure("count-1", *range(20))
        await introduced(broker, 2)
        await running.settled()
        assert values(broker) == list(range(20))
        # It hears what it is told: the state is corrected, so it has subscribed to it.
        broker.say(TOPICS.state, b'{"v":1,"online":false}')
        await until(lambda: b'"online":true' in broker.retained[TOPICS.state])


async def test_b12_the_limits_of_the_broker_are_obeyed(tmp_path: Path, kind_5: Kind) -> None:
    limits = {RECEIVE_MAXIMUM: 1, MAXIMUM_PACKET: 1024}
    async with (
        kind_5.broker(limits=limits, ack_delay_s=0.01) as broker,
        kind_5.gateway(tmp_path, broker.port) as running,
    ):
        for start in range(0, 100, 50):
            running.measure("count-1", *range(start, start + 50), words="x" * 40)
        await running.settled()
        assert values(broker) == list(range(100))
        assert [session.most_open for session in broker.sessions] == [1]
        assert max(publish.size_bytes for publish in broker.published()) <= 1024


async def test_b13_a_row_at_which_the_broker_closes_holds_up_no_other(tmp_path: Path, kind: Kind) -> None:
    def close_at_13(session: Session, publish: Message) -> int | None:
        if publish.leaf == COUNT and any(row["n"] == 13 for row in publish.batch.rows):
            session.writer.close()
            return None
        return 0

    async with kind.broker(answer=close_at_13) as broker, kind.gateway(tmp_path, broker.port) as running:
        running.measure("count-1", *range(40))
        await until(lambda: bool(broker.events("rows_lost")))
        running.measure("count-1", 40)
        await running.settled()
        (event,) = broker.events("rows_lost")
        assert (event["stream"], event["from"], event["n"], event["why"]) == (COUNT, 14, 1, "rejected")
        assert set(values(broker)) >= {*range(41)} - {13}
