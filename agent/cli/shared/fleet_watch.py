"""A maintainer's connection: follows the reports of a fleet and sends messages to it."""

import asyncio
from collections.abc import Callable, Mapping
from secrets import token_hex

from agent.base.i18n import _
from agent.cli.shared.broker_options import BrokerOptions
from agent.delivery.connection import ConnectionLost, Message
from agent.delivery.io.mqtt import MqttConnection
from agent.fleet.reports import Fleet, filters

_QUIET_S = 1.0
_MAX_S = 8.0
_ACK_S = 15.0
_WINDOW = 50
"""Messages in flight: fewer than brokers allow (Receive Maximum)."""


class FleetWatch:
    """An open connection. Created by :meth:`open`. ``fleet`` collects the reports, and outlives the connection."""

    def __init__(self, link: MqttConnection, fleet: Fleet) -> None:
        self._link = link
        self._fleet = fleet
        self._news = asyncio.Event()
        self._lost = asyncio.create_task(link.lost())
        self._lost.add_done_callback(lambda _: self._news.set())
        self._acks: dict[int, str] = {}
        self.refused: dict[str, int] = {}
        """Gateways whose message the broker refused, with its reason code."""
        link.on_message = self._on_message
        link.on_ack = self._on_ack

    @classmethod
    async def open(cls, options: BrokerOptions, fleet: Fleet, *leaves: str) -> "FleetWatch":
        """Connect, and subscribe to these topics of every gateway. Raises :class:`ConnectionLost`."""
        watch = cls(await options.connect(f"gardu-config-{token_hex(4)}"), fleet)
        fleet.on_connect()
        try:
            await watch._link.subscribe(filters(*leaves))
        except BaseException:
            await watch.close()
            raise
        return watch

    async def close(self) -> None:
        """Disconnect."""
        self._lost.cancel()
        await self._link.close()

    async def news(self, until_s: float) -> bool:
        """Wait until ``until_s`` (loop time) for a message or an acknowledgement; return whether one arrived. Raises
        :class:`ConnectionLost`."""
        try:
            async with asyncio.timeout_at(until_s):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        if self._lost.done():
            raise self._lost.result()
        return True

    async def collect(self, enough: Callable[[], bool], max_s: float = _MAX_S) -> None:
        """Wait until all retained messages have arrived: ``enough`` is true and nothing has arrived for a second.
        Raises :class:`ConnectionLost`."""
        now_s = asyncio.get_running_loop().time
        end_s = now_s() + max_s
        while now_s() < end_s:
            if not await self.news(min(end_s, now_s() + _QUIET_S)) and enough():
                return

    async def send(self, messages: Mapping[str, tuple[str, bytes]]) -> None:
        """Publish retained messages: for each gateway a topic and a message. Raises :class:`ConnectionLost`."""
        window = min(_WINDOW, self._link.limits.receive_maximum)
        for gateway, (topic, message) in messages.items():
            while len(self._acks) >= window:
                await self._acknowledged()
            self._acks[self._link.publish(topic, message, retain=True)] = gateway
        while self._acks:
            await self._acknowledged()

    async def _acknowledged(self) -> None:
        if not await self.news(asyncio.get_running_loop().time() + _ACK_S):
            raise ConnectionLost(_("the broker does not acknowledge"))

    def _on_message(self, message: Message) -> None:
        self._fleet.on_message(message.topic, message.payload)
        self._news.set()

    def _on_ack(self, mid: int, failure: int) -> None:
        gateway = self._acks.pop(mid, None)
        if gateway is not None and failure:
            self.refused[gateway] = failure
        self._news.set()
