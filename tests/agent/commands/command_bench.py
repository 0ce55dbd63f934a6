"""A gateway as commands see it: a store, an uplink and one sensor that remember what was done to them."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from agent.base.reading import Stamp
from agent.base.status import Status
from agent.commands.context import CommandContext
from agent.commands.dispatcher import CommandDispatcher
from agent.config.settings import Commands
from agent.delivery import wire
from agent.delivery.connection import Message
from agent.store.stream_account import StreamAccount

NOW_MS = 1_795_000_000_000
EPOCH = "aaaaaaaa"
TOPICS = wire.Topics.of("makassar", "health", "batua", "batua-01")


class BenchStore:
    def __init__(self) -> None:
        self.accounts = {"telemetry/air-1": StreamAccount([(1, EPOCH)], 11, gone=[(1, 4)], settled=[(1, 8)])}
        self.durable = True
        self.kept: dict[str, str] = {}
        self.flushes = 0

    def remember(self, name: str, value: str) -> None:
        self.kept[name] = value

    def recall(self, name: str) -> str:
        return self.kept.get(name, "")

    async def flush(self) -> None:
        self.flushes += 1

    def unsettled(self) -> int:
        return 3


class BenchUplink:
    def __init__(self) -> None:
        self.sent_again: list[tuple[str, int, int]] = []

    def send_again(self, stream: str, start: int, stop: int) -> None:
        self.sent_again.append((stream, start, stop))


class BenchSensor:
    def __init__(self) -> None:
        self.restarts = 0
        self.outputs: list[bool] = []
        self.error: Exception | None = None

    async def measure(self) -> Mapping[str, Any]:
        if self.error is not None:
            raise self.error
        return {"temp": 4.3}

    def restart(self) -> None:
        self.restarts += 1

    async def switch(self, on: bool) -> None:
        self.outputs.append(on)


class BenchRenewal:
    async def request(self) -> Mapping[str, str]:
        return {"csr": "request"}

    async def install(self, pem: str) -> int:
        return len(pem)


class CommandBench:
    """The parts, and the dispatcher over them. ``clock_quality``: 0 where the clock is not set."""

    def __init__(self, settings: Commands | None = None) -> None:
        self.store, self.uplink, self.sensor = BenchStore(), BenchUplink(), BenchSensor()
        self.planned: list[bytes] = []
        self.opened: list[bytes] = []
        self.open_error: Exception | None = None
        self.wakes = 0
        self.clock_quality = 2
        self.context = CommandContext(
            self.store,
            lambda: cast(Status, None),
            self._plan,
            BenchRenewal(),
            self.uplink,
            {"air-1": self.sensor},
        )
        self._settings = settings or Commands()

    def dispatcher(self) -> CommandDispatcher:
        """Return a new dispatcher, as after a restart. Needs a running loop."""
        return CommandDispatcher(self.context, self._settings, TOPICS, self._now, self._open, self._wake)

    def _now(self) -> Stamp:
        return Stamp(NOW_MS, 1000, self.clock_quality)

    async def _plan(self, raw: bytes) -> object:
        self.planned.append(raw)
        return {"restarts": []}

    async def _open(self, raw: bytes) -> bytes:
        self.opened.append(raw)
        if self.open_error is not None:
            raise self.open_error
        return raw

    def _wake(self) -> None:
        self.wakes += 1


def message(name: str, payload: bytes, retain: bool = False) -> Message:
    return Message(f"{TOPICS.base}/command/{name}", payload, retain)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)
