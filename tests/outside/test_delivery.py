"""Delivery makes progress, whatever one message, one link or one other client does to it."""

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agent.config.settings import Publish
from agent.delivery.timings import DeliveryTimings
from tests.support.agent_process import BASE, AgentProcess, configuration, sensor
from tests.support.gateway import TOPICS, Running, gateway
from tests.support.mosquitto import Mosquitto, until
from tests.support.mqtt_caller import Caller
from tests.support.mqtt_packets import Publish as Sent
from tests.support.recorder import Recorder
from tests.support.scripted_broker import ScriptedBroker, Session

COUNT = "telemetry/count-1"
OTHER = "telemetry/count-2"


def values(broker: ScriptedBroker, stream: str = COUNT) -> set[object]:
    """The values of ``n`` that came in acknowledged messages."""
    return {row["n"] for row in broker.rows(stream).values()}


def hasty(
    folder: Path, broker: ScriptedBroker, timings: DeliveryTimings | None = None
) -> AbstractAsyncContextManager[Running]:
    """A gateway that waits a tenth of the usual time between two connections."""
    return gateway(folder, broker.url, wait=0.1, timings=timings)


class Choosy:
    """Answers as a broker that ends the connection, or says nothing, for what it cannot take."""

    def __init__(self, closes: bool = True) -> None:
        self.taken: set[object] = set()
        self._closes = closes

    def bad(self, publish: Sent) -> bool:
        raise NotImplementedError

    def __call__(self, session: Session, publish: Sent) -> int | None:
        if publish.leaf.startswith(("telemetry/", "event/")) and self.bad(publish):
            if self._closes:
                session.writer.close()
            return None
        if publish.leaf == COUNT:
            self.taken |= {row["n"] for row in publish.batch.rows}
        return 0


class Poisoned(Choosy):
    """Cannot take the row with 13 in it."""

    def bad(self, publish: Sent) -> bool:
        return publish.leaf == COUNT and any(row["n"] == 13 for row in publish.batch.rows)


class Small(Choosy):
    """Cannot take a message of more than 600 bytes."""

    def bad(self, publish: Sent) -> bool:
        return publish.size_bytes > 600


class Denied(Choosy):
    """Ends the connection at a whole topic, as some brokers do for what an ACL forbids."""

    def bad(self, publish: Sent) -> bool:
        return publish.leaf == COUNT


@pytest.mark.parametrize("version", [4, 5])
async def test_21_the_one_row_at_which_a_broker_closes_is_isolated_and_counted(tmp_path: Path, version: int) -> None:
    answer = Poisoned()
    async with (
        ScriptedBroker(versions=(version,), answer=answer) as broker,
        hasty(tmp_path, broker) as running,
    ):
        running.measure("count-1", *range(100))
        running.measure("count-2", *range(20))
        await until(lambda: bool(broker.events("rows_lost")), 40.0)
        running.measure("count-1", 100)
        await running.settled()
        await running.settled("count-2")
        assert answer.taken == set(range(101)) - {13}
        (event,) = broker.events("rows_lost")
        assert (event["stream"], event["from"], event["n"], event["why"]) == (COUNT, 14, 1, "rejected")
        assert len(broker.sessions) < 25


async def test_21_a_broker_that_closes_at_long_messages_gets_short_ones_and_everything(tmp_path: Path) -> None:
    answer = Small()
    async with (
        ScriptedBroker(versions=(4,), answer=answer) as broker,
        hasty(tmp_path, broker) as running,
    ):
        running.measure("count-1", *range(300))
        await running.store.flush()
        await until(lambda: answer.taken == set(range(300)), 30.0)
        count = len(broker.sessions)
        running.measure("count-1", *range(300, 600))
        await until(lambda: answer.taken == set(range(600)), 20.0)
        assert broker.events("rows_lost") == []
        assert len(broker.sessions) <= count + 1, "it has learned the size"


async def test_21_a_topic_at_which_the_broker_closes_is_paused_and_nothing_of_it_is_given_up(tmp_path: Path) -> None:
    answer = Denied()
    async with (
        ScriptedBroker(versions=(4,), answer=answer) as broker,
        hasty(tmp_path, broker) as running,
    ):
        running.measure("count-1", *range(5))
        await running.store.flush()
        await until(lambda: len(broker.sessions) >= 5, 30.0)
        running.measure("count-2", *range(20))
        await running.settled("count-2")
        await until(lambda: values(broker, OTHER) == set(range(20)), 30.0)
        assert running.unsettled("count-1") == 5
        assert broker.events("rows_lost") == []


@pytest.mark.parametrize("version", [4, 5])
async def test_21_a_bad_row_with_nothing_behind_it_in_its_stream_is_given_up_and_counted(
    tmp_path: Path, version: int
) -> None:
    answer = Poisoned()
    timings = DeliveryTimings(pause_s=0.2)
    async with (
        ScriptedBroker(versions=(version,), answer=answer) as broker,
        hasty(tmp_path, broker, timings) as running,
    ):
        running.measure("count-2", 1)
        running.measure("count-1", 13)
        await until(lambda: bool(broker.events("rows_lost")), 40.0)
        (event,) = broker.events("rows_lost")
        assert (event["stream"], event["from"], event["n"], event["why"]) == (COUNT, 1, 1, "rejected")
        assert running.unsettled("count-1") == 0
        running.measure("count-1", 14)
        await running.settled()
        assert answer.taken == {14}
        assert len(broker.sessions) < 25


async def test_21_a_message_that_is_never_acknowledged_holds_up_no_other(tmp_path: Path) -> None:
    answer = Poisoned(closes=False)
    timings = DeliveryTimings(ack_s=0.3)
    async with ScriptedBroker(answer=answer) as broker, hasty(tmp_path, broker, timings) as running:
        for number in range(40):
            running.measure("count-1", number)
            running.measure("count-2", number)
            if number % 10 == 9:
                await running.settled("count-2")
                await asyncio.sleep(0.05)
        await until(lambda: bool(broker.events("rows_lost")), 30.0)
        await running.settled()
        assert answer.taken == set(range(40)) - {13}
        assert broker.events("rows_lost")[0]["n"] == 1


async def test_22_a_backlog_leaves_in_whole_messages_and_live_rows_pass_it(tmp_path: Path) -> None:
    drained = Publish(max_delay_s=0.05, backlog_rows_per_s=5000)
    async with ScriptedBroker() as broker:
        async with gateway(tmp_path, broker.url, drained) as running:
            await until(lambda: bool(broker.sessions))
        async with gateway(tmp_path, "mqtt://127.0.0.1:9", drained) as running:
            running.measure("count-1", *range(10_000))
            await running.store.flush()
        began = len(broker.batches(COUNT))
        async with gateway(tmp_path, broker.url, drained) as running:
            for number in range(5):
                await until(lambda number=number: len(values(broker)) > 1500 * number)
                running.measure("count-2", number)
                await until(lambda number=number: number in values(broker, OTHER), 1.0)
            await running.settled()
        sizes = Counter(len(batch.rows) for batch in broker.batches(COUNT)[began:])
        assert sum(rows * count for rows, count in sizes.items()) == 10_000
        assert sizes.total() < 60, sizes


async def test_23_rows_that_are_sent_again_come_with_the_description_that_they_need(tmp_path: Path) -> None:
    async with ScriptedBroker() as broker:
        async with gateway(tmp_path, broker.url, described="old") as running:
            running.measure("count-1", *range(5))
            await running.settled()
            older = broker.batches(COUNT)[0]
        meta = next(one for one in broker.published() if one.leaf == "meta").message
        leaf = f"meta/{meta['mh']}"
        async with gateway(tmp_path, broker.url, described="new") as running:
            for count in (1, 2):
                running.uplink.send_again(COUNT, 1, 6)
                await until(lambda count=count: broker.sessions[-1].leaves().count(leaf) == count)
                await until(lambda count=count: broker.sessions[-1].leaves().count(COUNT) == count)
            leaves = [one for one in broker.sessions[-1].leaves() if one in (leaf, COUNT)]
            assert leaves == [leaf, COUNT] * 2
        assert len(older.rows) == 5


async def test_24_a_gateway_that_moves_clears_what_stood_at_its_old_path(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, "allow_anonymous true\npersistence false") as mosquitto:
        text = configuration(mosquitto.url, [sensor("load", "system")])
        async with AgentProcess(tmp_path, text) as agent:
            await agent.told("connected")
            with Recorder(mosquitto.port) as recorder:
                await until(lambda: recorder.last("config/reported") is not None)
            await agent.stop()
            agent.file.write_text(text.replace('site = "checkpoint"', 'site = "harbour"'))
            await agent.start()
            await until(lambda: agent.count("connected") == 2)
            new = BASE.replace("checkpoint", "harbour")
            with Recorder(mosquitto.port) as recorder:
                await until(lambda: any(one.topic == f"{new}/config/reported" for one in recorder.messages))
            await agent.stop()
        with Caller(mosquitto.port, "looks at what is retained") as caller:
            caller.subscribe("makassar/#")
            await until(lambda: any(one.topic == f"{new}/meta" for one in caller.arrived))
            assert [one for one in caller.arrived if "harbour" not in one.topic] == []


async def test_14_two_gateways_with_one_id_notice_it_and_keep_away(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto:
        text = configuration(mosquitto.url, [sensor("load", "system", more="interval_s = 1")])
        told = "another client uses the id"
        folders = [tmp_path / "one", tmp_path / "two"]
        for folder in folders:
            folder.mkdir()
        async with AgentProcess(folders[0], text) as one, AgentProcess(folders[1], text) as two:
            await until(lambda: one.count(told) + two.count(told) > 0, 30.0)
            before = one.count("connected,") + two.count("connected,")
            assert before < 14
            await asyncio.sleep(4.0)
            assert one.count("connected,") + two.count("connected,") <= before + 2
            assert one.count(told) <= 1
            assert two.count(told) <= 1
    events = [row for agent in (one, two) for row in agent.accepted().values() if row.get("ev") == "client_id_conflict"]
    assert len(events) == one.count(told) + two.count(told)


async def test_39_a_link_that_comes_and_goes_delivers_in_every_window(tmp_path: Path) -> None:
    broker = ScriptedBroker()
    progress = []
    async with broker, gateway(tmp_path, broker.url) as running:
        for window in range(3):
            count = len(values(broker))
            running.measure("count-1", *range(10 * window, 10 * window + 10))
            await asyncio.sleep(2.5)
            progress.append(len(values(broker)) > count)
            broker.deny = True
            for one in broker.sessions:
                one.writer.close()
            await asyncio.sleep(2.5)
            broker.deny = False
    assert progress == [True] * 3


async def test_43_the_will_names_its_content_type_on_mqtt_5(tmp_path: Path) -> None:
    async with ScriptedBroker() as broker, gateway(tmp_path, broker.url):
        await until(lambda: bool(broker.sessions))
        will = broker.sessions[0].will
        assert will is not None
        assert (will.topic, will.content_type) == (TOPICS.state, "application/json")


async def test_43_config_reported_has_the_keys_of_the_contract(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        async with AgentProcess(tmp_path, configuration(mosquitto.url)):
            await until(lambda: recorder.last("config/reported") is not None)
    reported = recorder.last("config/reported")
    assert set(reported) == {"v", "version", "hash", "state", "cause", "running", "drift", "trust_version", "t"}
    assert set(reported["running"]) == {"version", "hash"}
