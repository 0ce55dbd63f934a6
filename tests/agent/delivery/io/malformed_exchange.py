"""Connections over a socket pair whose other side sends whatever a test gives it: fast enough for thousands."""

import asyncio
import random
import socket
from collections.abc import Sequence
from typing import Any

from paho.mqtt.client import MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from agent.delivery.connection import ConnectionLost
from agent.delivery.io.mqtt_connection import MAX_INCOMING_BYTES, BoundedClient, MqttConnection
from agent.delivery.policies.mqtt_packets import PacketFilter
from tests.support.malformed_packets import MalformedPackets

SENT = 3
"""Messages in flight."""
_KEEPALIVE_S = 3600


class PairedClient(BoundedClient):
    """The client on one end of a socket pair in place of a network."""

    end: socket.socket

    def _create_socket_connection(self) -> Any:
        return self.end


class Exchange:
    """One connection. ``acknowledged``: what the connection called acknowledged."""

    def __init__(self, version: int, keepalive_s: int = _KEEPALIVE_S) -> None:
        ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        mqtt5 = version == 5
        client = PairedClient(
            CallbackAPIVersion.VERSION2,
            "pos-1",
            clean_session=None if mqtt5 else True,
            protocol=MQTTv5 if mqtt5 else MQTTv311,
            reconnect_on_failure=False,
        )
        client.end = ours
        client.packets = PacketFilter(MAX_INCOMING_BYTES, mqtt5)
        client.max_inflight_messages_set(0)
        client.on_socket_register_write = lambda *_: None
        client.connect("paired", 1, keepalive_s)
        self.client = client
        self.acknowledged: list[tuple[int, int]] = []
        self.link = MqttConnection(client, mqtt5, keepalive_s, answer_s=0.01)
        self.link.on_ack = lambda mid, failure: self.acknowledged.append((mid, failure))
        self.link.attach()
        self.connack = b"\x20\x03\0\0\0" if mqtt5 else b"\x20\x02\0\0"

    async def begin(self) -> list[int]:
        """Connect as with a good broker, and publish; give the ids of the messages in flight."""
        await self.send(self.connack)
        await self.link.connected(5.0)
        return [self.link.publish("a", b"payload") for _ in range(SENT)]

    async def send(self, raw: bytes) -> None:
        """What the broker sends; taken in before this returns, as far as the connection takes it."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._theirs, raw)
        except OSError:
            return
        for _ in range(4):
            await asyncio.sleep(0)

    async def end(self) -> ConnectionLost:
        """The broker's side closes; why the connection is over."""
        self._theirs.close()
        async with asyncio.timeout(10.0):
            return await self.link.lost()


async def play(dice: random.Random, version: int, packets: Sequence[bytes] = ()) -> Exchange:
    """One connection to its end: ``packets``, or some that are drawn, before the CONNACK or after it."""
    exchange = Exchange(version)
    if dice.random() < 0.85:
        await exchange.begin()
    drawn = MalformedPackets(dice, version, range(1, SENT + 1))
    for packet in packets or [drawn.packet() for _ in range(dice.choice((1, 2, 5, 20)))]:
        if dice.random() < 0.1:
            for byte in packet[:50]:
                await exchange.send(bytes((byte,)))
            packet = packet[50:]
        await exchange.send(packet)
    await exchange.end()
    return exchange
