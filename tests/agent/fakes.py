"""Fakes at the seams of the services: a store in memory, a link that remembers, a clock that is moved by hand."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack

from agent.base.reading import CommittedRange, Context, Reading, Row, Stamp
from agent.delivery import wire
from agent.delivery.clocks import Clocks
from agent.delivery.connection import ConnectionLost, Limits, Message
from agent.delivery.identity import Description, GatewayIdentity
from agent.store.boot_times import BootTimes
from agent.store.stream_account import StreamAccount

EP = "aaaaaaaa"
TOPICS = wire.Topics.of("makassar", "health", "batua", "batua-01")


class FakeClock:
    """Seconds of the event loop and milliseconds of the boot, moved together."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def seconds(self) -> float:
        return self.now_s

    def mono_ms(self) -> int:
        return int(self.now_s * 1000)

    def stamp(self) -> Stamp:
        return Stamp(1_795_000_000_000 + self.mono_ms(), self.mono_ms(), 1)

    def clocks(self) -> Clocks:
        return Clocks(self.seconds, self.mono_ms)


PRESENCE = GatewayIdentity(TOPICS, Description({"a": {}}, {}, {}), "0.1.0", "b0070000", FakeClock().stamp)
MH = PRESENCE.description.meta_hash


class FakeStore:
    """Rows are durable as soon as they are put in."""

    def __init__(self, clock: FakeClock) -> None:
        self.accounts: dict[str, StreamAccount] = {}
        self.meta_hash = MH
        self.epoch = EP
        self.appended: list[Reading] = []
        self.announced: list[Mapping[str, Any]] = []
        self.remembered: dict[str, str] = {}
        self.descriptions = {MH: b'{"a":{}}', "01d00000": b'{"old":{}}'}
        self.on_commit: Callable[[Mapping[str, CommittedRange]], None] = lambda fresh: None
        self.times = BootTimes("b0070000")
        self._clock = clock
        self._rows: dict[str, list[Row]] = {}

    def put(
        self,
        stream: str,
        count: int = 1,
        age_s: float = 0.0,
        meta_hash: str = MH,
        size: int = 0,
        clock_quality: int = 1,
        boot_id: str = "b0070000",
    ) -> range:
        """Add rows that were measured ``age_s`` ago; give their numbers."""
        account = self.accounts.setdefault(stream, StreamAccount([(1, EP)]))
        start = account.next
        for seq in range(start, start + count):
            mono_ms = self._clock.mono_ms() - int(age_s * 1000)
            body = msgpack.packb({"n": seq, "x": "y" * size})
            t = 1_795_000_000_000 + seq if clock_quality else mono_ms
            row = Row(seq, t, mono_ms, Context(EP, boot_id, clock_quality, meta_hash), body)
            self._rows.setdefault(stream, []).append(row)
        account.next += count
        return range(start, start + count)

    def forget(self, stream: str, numbers: range) -> None:
        """Lose rows, as a damaged file does."""
        self._rows[stream] = [row for row in self._rows[stream] if row.seq not in numbers]

    async def read(self, wanted: Sequence[tuple[str, int, int, int]]) -> list[list[Row]]:
        return [
            self.times.corrected(stream, [row for row in self._rows.get(stream, []) if start <= row.seq < stop][:limit])
            for stream, start, stop, limit in wanted
        ]

    async def description(self, meta_hash: str) -> bytes:
        return self.descriptions.get(meta_hash, b"")

    def settle(self, stream: str, start: int, stop: int) -> None:
        self.accounts[stream].settled.add(start, stop)

    async def wait_for_room(self) -> None:
        """There is always room."""

    def append(self, reading: Reading) -> None:
        self.appended.append(reading)

    def announce(self, row: Mapping[str, object]) -> None:
        self.announced.append(row)

    def remember(self, name: str, value: str) -> None:
        self.remembered[name] = value

    def recall(self, name: str) -> str:
        return self.remembered.get(name, "")

    async def begin_epoch(self, why: str) -> None:
        self.epoch = "bbbbbbbb"
        for account in self.accounts.values():
            account.begin_epoch(self.epoch, 1)
        self.announced.append({"ev": "store_reset", "why": why})

    def bodies(self, stream: str) -> list[dict[str, Any]]:
        """What was appended to a stream."""
        return [msgpack.unpackb(one.body) for one in self.appended if one.stream == stream]


class FakeInbox:
    """Hears nothing and answers nothing."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def topics(self) -> list[str]:
        return []

    def handle(self, message: Message) -> None:
        self.heard.append(message)

    def answer(self) -> tuple[str, bytes, bool] | None:
        return None

    def flushed(self) -> bool:
        return False


@dataclass
class Sent:
    """One message that left."""

    mid: int
    topic: str
    payload: bytes
    retain: bool
    content_type: str
    encoding: str

    @property
    def stream(self) -> str:
        address = wire.parse_topic(self.topic)
        assert address is not None
        return address.leaf

    @property
    def message(self) -> dict[str, Any]:
        return wire.decode(self.payload)

    @property
    def numbers(self) -> list[int]:
        message = self.message
        return list(range(message["seq"], message["seq"] + len(message["r"])))

    @property
    def late(self) -> bool:
        return self.message.get("h") is True


@dataclass
class FakeLink:
    """A connection that acknowledges when the test says so."""

    limits: Limits = field(default_factory=Limits)
    mqtt5: bool = True
    sent: list[Sent] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    closed: str = ""

    def __post_init__(self) -> None:
        self.on_ack: Callable[[int, int], None] = lambda mid, failure: None
        self.on_message: Callable[[Message], None] = lambda message: None
        self.broken: asyncio.Event = asyncio.Event()

    def publish(
        self, topic: str, payload: bytes, retain: bool = False, content_type: str = "", encoding: str = ""
    ) -> int:
        self.sent.append(Sent(len(self.sent) + 1, topic, payload, retain, content_type, encoding))
        return len(self.sent)

    async def subscribe(self, topics: list[str]) -> None:
        self.subscribed += topics

    async def lost(self) -> ConnectionLost:
        await self.broken.wait()
        return ConnectionLost("broken by the test")

    async def close(self, timeout_s: float = 1.0) -> None:
        self.closed = "goodbye"

    def drop(self) -> None:
        self.closed = self.closed or "dropped"

    def take(self) -> list[Sent]:
        """What left since the last call."""
        sent, self._taken = self.sent[getattr(self, "_taken", 0) :], len(self.sent)
        return sent
