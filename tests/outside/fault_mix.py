"""Faults of disk and broker, mixed at random moments: every reading that was accepted arrives, or is counted."""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.outside.fault_judge import Violation, check_all, check_prompt, check_room
from tests.outside.faulty_gateway import COMMIT_S, DELAY_S, FAILING, FaultyGateway
from tests.outside.subscriber_asks import SubscriberAsks
from tests.outside.unruly_broker import MISDEEDS
from tests.support.agent_process import GATEWAY
from tests.support.mosquitto import until

DESTROYED = ("damaged", "deleted", "folder deleted")
DISKS = ("well", "well", "well", *FAILING, *DESTROYED, "rewound")
MOMENTS = ("running", "running", "running", "killed", "killed", "stopped", "moved")
LOADS = ("calm", "calm", "calm", "burst")
_DRAIN_S = 120.0
_NOTICE_S = 30.0
_CLEARED_S = 20.0
_PASS_S = 60.0
_RESTORING_S = 30.0
"""A store that was damaged or deleted may not be there again for so long."""
_FLOOD_LEFT_S = 10.0
"""What a flood leaves with the kernel, and with it the readings before it, is nobody's when the agent ends."""


class Deck:
    """Draws each card once before any comes again."""

    def __init__(self, cards: Sequence[str], dice: random.Random) -> None:
        self._cards, self._dice = cards, dice
        self._left: list[str] = []

    def draw(self) -> str:
        """The next card."""
        if not self._left:
            self._left = self._dice.sample(self._cards, len(self._cards))
        return self._left.pop()


class FaultMix(FaultyGateway):
    """``async with`` it, :meth:`strike` as often as there is time, then :meth:`judge`. ``done``: what was done."""

    def __init__(
        self, folder: Path, seed: int, module: str = "tests.outside.without", environ: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(folder, seed, module, environ)
        self.done: deque[str] = deque(maxlen=40)
        self._decks = [Deck(cards, self.dice) for cards in (DISKS, MISDEEDS, MOMENTS, LOADS)]
        self._asks = SubscriberAsks(self.broker, self.dice)
        self._bursts: list[tuple[float, float]] = []
        self._damages = 0

    async def strike(self) -> None:
        """One fault of the disk and one of the broker at one moment, for a while; then both are well again, and so is
        the gateway."""
        disk, broker, moment, load = (deck.draw() for deck in self._decks)
        self.done.append(f"{disk} x {broker} x {moment} x {load}")
        if moment == "moved":
            await self._move()
        if disk == "rewound":
            self.disk.remember()
            await asyncio.sleep(1.0)
        if broker in ("poisoned", "never acknowledges"):
            self.broker.poison.add(len(self.said["dust-0"]) + 10)
        self.broker.misbehave(broker)
        if broker == "poisoned" and moment == "running":
            await self._passes_the_poison()
        elif self.dice.random() < 0.5:
            await asyncio.sleep(self.dice.uniform(0.5, 4.0))
        if moment in ("killed", "stopped"):
            await self._interrupt(disk, moment, load)
            await asyncio.sleep(self.dice.uniform(0.2, 3.0))
        else:
            await self._fails_meanwhile(disk, broker, load)
        self.broker.behave()
        self.mend_disk(disk)
        await self._is_well()

    async def _is_well(self) -> None:
        """Nothing is broken any more: readings arrive, and what is asked is answered."""
        await self.arrives("after all faults")
        await self._asks.ask(self.base)
        if not self.agent.running():
            raise Violation(f"the agent has ended: {self.agent.lines[-4:]}")

    async def _fails_meanwhile(self, disk: str, broker: str, load: str) -> None:
        """A disk that fails under a running agent."""
        if disk != "rewound":
            self._break_disk(disk, self.agent.pid)
        if load == "burst":
            began_s = time.time()
            await self.floods.burst(self.dice.uniform(0.5, 2.0))
            if disk == "well" and self.failing_since_s is None:
                self._bursts.append((began_s, time.time()))
        if disk in FAILING and broker == "well":
            await self.arrives("while the disk takes nothing")
        elif disk in ("deleted", "folder deleted"):
            await self._comes_back()
        elif load != "burst":
            await asyncio.sleep(self.dice.uniform(0.2, 5.0))

    async def _passes_the_poison(self) -> None:
        """One reading that the broker cannot take holds up the next ones for a bounded time only."""
        said, taken, poison = self.said["dust-0"], self.broker.taken["telemetry/dust-0"], max(self.broker.poison)
        # The neighbours, unless one is bad itself: two strikes may poison readings side by side.
        neighbours = {poison - 1, poison + 1, poison + 2} - self.broker.poison
        with contextlib.suppress(TimeoutError):
            await until(lambda: neighbours <= taken.keys(), _PASS_S)
            return
        if len(said) > poison + 100:
            raise Violation(f"nothing passes what the broker cannot take: {self.agent.lines[-3:]}")

    async def _comes_back(self) -> None:
        """A store that was deleted under the agent is noticed, and there again."""
        with contextlib.suppress(TimeoutError):
            await until(self.disk.store.exists, _NOTICE_S)
        if not self.disk.store.exists():
            raise Violation("a deleted store was not noticed")

    async def _move(self) -> None:
        """The gateway is stopped, and started again at another path: nothing is left at the old one."""
        await self.arrives("before a move")
        if not self.durable():
            return
        lost_from_s = await self.stop(writable=True)
        self.site += 1
        await self.start()
        self.excuses.interruptions.append((lost_from_s, time.monotonic()))

        def cleared() -> bool:
            kept = dict(self.broker.retained)
            here = f"{self.base}/"
            left = (topic for topic, payload in kept.items() if payload and GATEWAY in topic)
            return f"{here}streams" in kept and all(topic.startswith(here) for topic in left)

        with contextlib.suppress(TimeoutError):
            await until(cleared, _CLEARED_S)
        if not cleared():
            raise Violation("what stood at an old path was left there")

    async def _interrupt(self, disk: str, moment: str, load: str) -> None:
        """End the agent while a disk is failing, and start it again on it."""
        if load == "burst":
            await self.floods.burst(self.dice.uniform(0.5, 2.0))
        if disk in FAILING and self.dice.random() < 0.5:
            self._break_disk(disk, self.agent.pid)
            await asyncio.sleep(self.dice.uniform(0.2, 5.0))
        lost_from_s = await self._end(moment, writable=disk not in FAILING)
        lost_from_s -= _FLOOD_LEFT_S if load == "burst" else 0.0
        if disk == "rewound":
            self.boot += 1
            lost_from_s = min(lost_from_s, self.disk.remembered_s - COMMIT_S - DELAY_S)
            self.disk.rewind()
        else:
            self._break_disk(disk, None)
        if disk in DESTROYED or self._is_damaged():
            self.forgive()
        self.label += self.dice.random() < 0.5
        await self.start()
        self.excuses.interruptions.append((lost_from_s, time.monotonic()))

    async def _end(self, moment: str, writable: bool) -> float:
        """End the agent; since when readings may be missing for that."""
        if moment == "stopped":
            return await self.stop(writable)
        # A power cut may take what was measured within commit_s; more, where nothing could be written.
        lost_from_s = time.monotonic()
        if not self.durable():
            lost_from_s = self.failing_since_s or lost_from_s - _RESTORING_S
        await self.agent.kill()
        return lost_from_s - COMMIT_S - DELAY_S

    def _is_damaged(self) -> bool:
        """Whether there may be damage in the store that the agent has not come across."""
        return self._damages > self.agent.count("the store is damaged")

    def _break_disk(self, how: str, pid: int | None) -> None:
        if how in DESTROYED:
            self._asks.forget()
        self._damages += how == "damaged"
        self.break_disk(how, pid)

    async def judge(self) -> None:
        """Let everything arrive; stop; compare. Raises :class:`Violation`."""
        self.broker.behave(all_at_once=True)
        for fault in FAILING:
            self.mend_disk(fault)
        await self._is_well()
        calm_s, end_s = await self._drained(), time.monotonic()
        await self._hears_out()
        for name, said in self.said.items():
            check_prompt(said, self.broker.taken[f"telemetry/{name}"], calm_s, end_s)
        await self.stop(writable=True)
        if any("Traceback" in line for line in self.agent.lines):
            raise Violation("a traceback")
        accounts = {} if self._is_damaged() else self.accounts()
        check_all(self.broker.arrivals, self.said, self.excuses, accounts)
        check_room(self.broker.arrivals, self._bursts)
        self._asks.check()

    async def _hears_out(self) -> None:
        """Let the sensors fall silent, and what they said last arrive."""
        for device in self.devices.values():
            device.silence()
        taken = self.broker.taken
        with contextlib.suppress(TimeoutError):
            await until(
                lambda: all(len(said) - 2 in taken[f"telemetry/{name}"] for name, said in self.said.items()), 30.0
            )

    async def _drained(self) -> float:
        """Wait until nothing late comes any more; since when that is so."""
        end_s, quiet_s = time.monotonic() + _DRAIN_S, time.monotonic()
        count = -1
        while time.monotonic() - quiet_s < 4.0:
            late = sum(len(one.batch.rows) for one in self.broker.arrivals if one.late)
            if late != count:
                count, quiet_s = late, time.monotonic()
            if time.monotonic() > end_s:
                raise Violation("the backlog does not end")
            await asyncio.sleep(0.25)
        return quiet_s
