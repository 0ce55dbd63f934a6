"""One connection, with the real client and a broker that does as it is told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent.config.settings import Broker
from agent.delivery.connection import ConnectionLost, Message, SessionTakenOver, Will
from agent.delivery.io import mqtt as edge
from agent.delivery.io.mqtt_connection import MAX_INCOMING_BYTES, MqttConnection
from tests.support.mosquitto import until
from tests.support.mqtt_packets import Publish
from tests.support.scripted_broker import ScriptedBroker, Session


class Peer:
    """A link and the broker's side of it."""

    def __init__(self, broker: ScriptedBroker, link: MqttConnection) -> None:
        self.broker = broker
        self.link = link
        self.acks: list[tuple[int, int]] = []
        self.messages: list[Message] = []
        link.on_ack = lambda mid, failure: self.acks.append((mid, failure))
        link.on_message = self.messages.append

    @property
    def session(self) -> Session:
        return self.broker.sessions[-1]

    async def lost(self) -> ConnectionLost:
        return await asyncio.wait_for(self.link.lost(), 5.0)


async def connected(broker: ScriptedBroker, *, mqtt5: bool = True, keepalive_s: int = 60) -> Peer:
    settings = Broker(broker.url, keepalive_s=keepalive_s)
    return Peer(broker, await edge.connect(settings, broker.url, "pos-1", Will("will", b"{}"), mqtt5))


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with ScriptedBroker() as broker:
        peer = await connected(broker)
        yield peer
        peer.link.drop()


@pytest.mark.parametrize("mqtt5", [True, False])
async def test_a_message_leaves_with_what_it_needs_and_its_acknowledgement_comes_back(mqtt5: bool) -> None:
    async with ScriptedBroker() as broker:
        peer = await connected(broker, mqtt5=mqtt5)
        mid = peer.link.publish("a/b", b"payload", True, "application/json", "zlib")
        await until(lambda: peer.acks == [(mid, 0)])
        (sent,) = peer.session.published
        assert (sent.topic, sent.payload, sent.retain) == ("a/b", b"payload", True)
        assert sent.content_type == ("application/json" if mqtt5 else "")
        assert peer.session.version == (5 if mqtt5 else 4)
        peer.link.drop()


async def test_a_refusal_is_told_with_its_reason(peer: Peer) -> None:
    peer.broker.answer = lambda session, publish: 0x87
    mid = peer.link.publish("a", b"")
    await until(lambda: peer.acks == [(mid, 0x87)])


async def test_a_reason_that_is_no_refusal_is_none(peer: Peer) -> None:
    peer.broker.answer = lambda session, publish: 0x10
    mid = peer.link.publish("a", b"")
    await until(lambda: peer.acks == [(mid, 0)])


async def test_the_broker_s_limits_are_known() -> None:
    async with ScriptedBroker.limited(7, 2000) as broker:
        peer = await connected(broker)
        assert (peer.link.limits.receive_maximum, peer.link.limits.packet_bytes) == (7, 2000)
        peer.link.drop()


async def test_a_subscription_brings_what_is_retained_and_what_comes(peer: Peer) -> None:
    peer.broker.retained["a"] = b"kept"
    await peer.link.subscribe(["a", "b"])
    await until(lambda: len(peer.messages) == 1)
    peer.broker.say("b", b"new", retain=False)
    await until(lambda: len(peer.messages) == 2)
    assert peer.messages == [Message("a", b"kept", True), Message("b", b"new", False)]


async def test_what_a_handler_raises_does_not_end_the_connection(peer: Peer) -> None:
    heard: list[Message] = []

    def handle(message: Message) -> None:
        heard.append(message)
        raise RuntimeError("a fault")

    peer.link.on_message = handle
    peer.session.publish(b"a", b"1")
    peer.session.publish(b"b", b"2")
    await until(lambda: len(heard) == 2)


async def test_a_topic_that_is_not_text_is_refused_and_the_next_message_comes(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.session.publish(b"\xff\xfe", b"1")
    peer.session.publish(b"b", b"2")
    await until(lambda: len(peer.messages) == 1)
    assert peer.messages[0].topic == "b"
    assert "a message whose topic is not UTF-8" in caplog.text


async def test_a_message_that_is_too_long_is_passed_over_and_the_next_one_comes(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.session.publish(b"long", bytes(MAX_INCOMING_BYTES + 1))
    peer.session.publish(b"b", b"2")
    await until(lambda: len(peer.messages) == 1)
    assert peer.messages[0].topic == "b"
    assert "bytes on long: the limit is" in caplog.text


async def test_very_many_messages_at_once_all_arrive(peer: Peer) -> None:
    for number in range(2000):
        peer.session.publish(b"a", b"%d" % number)
    await until(lambda: len(peer.messages) == 2000)
    assert [int(message.payload) for message in peer.messages] == list(range(2000))


async def test_bytes_that_are_no_mqtt_end_the_connection(peer: Peer) -> None:
    peer.session.writer.write(b"\xff" * 40)
    assert "not MQTT" in str(await peer.lost())


async def test_a_connection_that_the_broker_closes_is_lost(peer: Peer) -> None:
    peer.session.writer.close()
    lost = await peer.lost()
    assert str(lost) == "the broker closed the connection"
    with pytest.raises(ConnectionLost):
        peer.link.publish("a", b"")
    with pytest.raises(ConnectionLost):
        await peer.link.subscribe(["a"])


@pytest.mark.parametrize(
    ("reason", "kind", "words"), [(0x8E, SessionTakenOver, "same id"), (0x8B, ConnectionLost, "shutting down")]
)
async def test_the_reason_of_a_disconnect_is_told(
    peer: Peer, reason: int, kind: type[ConnectionLost], words: str
) -> None:
    peer.session.disconnect(reason)
    lost = await peer.lost()
    assert type(lost) is kind
    assert words in str(lost).lower()


async def test_a_broker_that_is_silent_for_one_and_a_half_keepalives_is_lost() -> None:
    async with ScriptedBroker(answer_pings=False) as broker:
        peer = await connected(broker, keepalive_s=1)
        assert "silent" in str(await peer.lost())
        assert peer.session.pings == 1


async def test_a_broker_that_answers_pings_is_not_lost() -> None:
    async with ScriptedBroker() as broker:
        peer = await connected(broker, keepalive_s=1)
        watching = asyncio.create_task(peer.link.lost())
        await until(lambda: peer.session.pings >= 2)
        assert not watching.done()
        peer.link.drop()
        await watching


@pytest.mark.parametrize("goodbye", [True, False])
async def test_only_a_close_says_goodbye(peer: Peer, goodbye: bool) -> None:
    if goodbye:
        await peer.link.close()
    else:
        peer.link.drop()
    await until(lambda: peer.session.ended)
    assert peer.session.goodbye == goodbye
    await peer.lost()
    peer.link.drop()


async def test_a_subscription_that_is_not_answered_is_a_lost_connection(peer: Peer) -> None:
    peer.broker.answer_subscriptions = False
    peer.link.answer_s = 0.05
    with pytest.raises(ConnectionLost, match="does not answer"):
        await peer.link.subscribe(["a"])


async def test_what_is_under_way_is_written_while_the_reader_is_busy(peer: Peer) -> None:
    def echo(session: Session, publish: Publish) -> int:
        session.publish(b"echo", publish.payload)
        return 0

    peer.broker.answer = echo
    mids = [peer.link.publish("a", bytes(10_000)) for _ in range(50)]
    await until(lambda: len(peer.acks) == 50 and len(peer.messages) == 50)
    assert [mid for mid, _ in peer.acks] == mids
