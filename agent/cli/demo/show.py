"""Runs the demo: starts the city, listens, cuts and restores the link, stops, and counts."""

import asyncio
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from agent.base.i18n import _
from agent.cli.demo.city import PLACES, Agent
from agent.cli.demo.network import EmbeddedBroker, Proxy
from agent.cli.demo.screen import LiveScreen, PlainScreen, Screen
from agent.config.settings import Broker
from agent.delivery.connection import Message
from agent.delivery.io import mqtt
from agent.fleet.subscriber import Arrival, Subscriber

_TICK_S = 0.25
_QUIET_S = 2.0
"""Without late readings for this long, everything stored during an outage has arrived."""
_DRAIN_S = 45.0


class Show:
    """One run of the demo."""

    def __init__(self, seconds: float, outage: bool) -> None:
        self._seconds = seconds
        self._outage = outage
        self._subscriber = Subscriber()
        self._arrived = 0
        self._last_s: dict[str, float] = {}
        self._last_late_s = 0.0
        self._rows: Counter[tuple[object, ...]] = Counter()
        self._interrupted = asyncio.Event()
        self._screen: Screen = LiveScreen(PLACES) if sys.stdout.isatty() else PlainScreen(PLACES)

    async def run(self) -> int:
        """Run the demo and return the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupted.set)
        embedded = EmbeddedBroker()
        await embedded.start()
        proxy = Proxy(embedded.port)
        await proxy.restore()
        with tempfile.TemporaryDirectory(prefix="gardu-demo-") as folder, self._screen:
            agents = [Agent(place, Path(folder), self._screen.log) for place in PLACES]
            link = await self._subscribe(embedded.port)
            lost = asyncio.create_task(link.lost())
            try:
                # No maintained embedded broker supports version 5 (docs/decisions).
                self._screen.log("demo", _("the demo's own broker supports MQTT 3.1.1 only"))
                for agent in agents:
                    await agent.start(proxy.port)
                await self._play(proxy)
                if self._outage:
                    await self._drain()
            finally:
                statuses = await asyncio.gather(*(agent.stop() for agent in agents))
            await self._settle()
            sent = sum(agent.accepted() for agent in agents)
            lost.cancel()
            await link.close()
        await proxy.cut()
        await embedded.stop()
        return self._conclude(sent, statuses)

    async def _subscribe(self, port: int) -> mqtt.MqttConnection:
        url = f"mqtt://127.0.0.1:{port}"
        link = await mqtt.connect(Broker(url=url), url, "gardu-demo", None, mqtt5=False)
        link.on_message = self._on_message
        await link.subscribe(["#"])
        return link

    def _on_message(self, message: Message) -> None:
        now_s = asyncio.get_running_loop().time()
        for item in self._subscriber.on_message(message.topic, message.payload, now_s):
            self._screen.arrived(item, self._subscriber)
            if isinstance(item, Arrival):
                self._arrived += 1
                self._last_s[item.stream_id.gateway] = now_s
                if item.late:
                    self._last_late_s = now_s
                # Count by content, not by number: a reading that was stored twice would have two numbers.
                self._rows[item.stream_id.gateway, item.stream_id.stream, *map(str, item.fields.items())] += 1

    async def _play(self, proxy: Proxy) -> None:
        third_s = self._seconds / 3
        await self._wait(third_s, _("running, connected"))
        if self._outage and not self._interrupted.is_set():
            self._screen.log("demo", _("the connection was cut"))
            await proxy.cut()
        await self._wait(third_s, _("running, CONNECTION CUT") if self._outage else _("running, connected"))
        if self._outage:
            await proxy.restore()
            self._screen.log("demo", _("the connection was restored"))
        await self._wait(third_s, _("running, connected"))

    async def _wait(self, seconds: float, phase: str) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while (left_s := until_s - loop.time()) > 0 and not self._interrupted.is_set():
            self._screen.tick(phase, left_s)
            await asyncio.sleep(min(_TICK_S, left_s))

    async def _drain(self) -> None:
        """Wait until every agent has reconnected and sent what it stored."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while (left_s := began_s + _DRAIN_S - loop.time()) > 0:
            back = all(self._last_s.get(place.gateway, 0.0) > began_s for place in PLACES)
            if back and loop.time() - max(self._last_late_s, began_s) > _QUIET_S:
                return
            self._screen.tick(_("receiving the stored readings"), left_s)
            await asyncio.sleep(_TICK_S)

    async def _settle(self) -> None:
        """Wait for messages that are still in transit."""
        before = -1
        while before != self._arrived:
            before = self._arrived
            await asyncio.sleep(2 * _TICK_S)

    def _conclude(self, sent: int, statuses: list[int]) -> int:
        twice = sum(count - 1 for count in self._rows.values())
        duplicates = sum(tally.twice for tally in self._subscriber.ledger.tally().values())
        if duplicates:
            print(_("readings that arrived twice because of the outage and were removed: {n}").format(n=duplicates))
        failed = [place.gateway for place, status in zip(PLACES, statuses, strict=True) if status]
        if failed:
            print(_("these agents failed: {names}").format(names=", ".join(failed)), file=sys.stderr)
        lost = sent - self._arrived
        line = _("sent {sent} arrived {arrived} lost {lost} twice {twice}").format(
            sent=sent, arrived=self._arrived, lost=lost, twice=twice
        )
        print(line, flush=True)
        return 1 if lost or twice or failed else 0
