"""Faults of disk and broker, mixed at random moments: every reading that was accepted arrives, or is counted."""

import asyncio
import contextlib
import json
import random
import re
import shutil
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from drivers.sdk.contract import Value
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.outside.disk_faults import SmallDisk, damage_page, delete_folder, delete_store, page_count
from tests.support.agent_process import BASE, AgentProcess, configuration, sensor
from tests.support.mosquitto import until
from tests.support.scripted_broker import Publish, ScriptedBroker, Session

DISKS = ("well", "well", "full", "no inodes", "protected", "damaged", "deleted", "folder deleted", "rewound")
BROKERS = ("well", "well", "away", "silent", "poisoned", "poisoned", "never acknowledges", "refuses", "garbage")
FAILING = ("full", "no inodes", "protected")
MOMENTS = ("running", "running", "killed", "stopped")
COMMIT_S = 0.3
_RATE_HZ = 20.0
_DRAIN_S = 60.0


class Violation(Exception):
    """A promise was broken; the text says which."""


class FaultMix:
    """One gateway with two sensors that count. ``async with`` it, :meth:`strike` as often as there is time, then
    :meth:`judge`."""

    def __init__(
        self, folder: Path, seed: int, module: str = "tests.outside.without", environ: Mapping[str, str] | None = None
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self._dice = random.Random(seed)
        self._folder = folder
        self._disk = SmallDisk(folder / "state")
        self._broker = ScriptedBroker(versions=(self._dice.choice((4, 5)),), answer=self._answer)
        self._mode = "well"
        self._said: dict[str, dict[int, float]] = defaultdict(dict)
        self._devices: dict[str, SimulatedDevice] = {}
        self._stack = contextlib.AsyncExitStack()
        self._excused: list[tuple[float, float]] = []
        self._left = 0
        self._taken: set[int] = set()
        self._poison: set[int] = set()
        self._boot = 0
        self._environ = dict(environ or {})
        self._module = module
        self.done: deque[str] = deque(maxlen=40)

    async def __aenter__(self) -> "FaultMix":
        await self._stack.enter_async_context(self._broker)
        self._stack.enter_context(self._disk)
        sensors = [sensor("load", "system", more="interval_s = 1")]
        for name in ("dust-0", "dust-1"):
            link = self._folder / f"tty-{name}"
            device = SimulatedDevice(model("pms5003"), values=self._values(name), period_s=1 / _RATE_HZ, link=link)
            self._devices[name] = await self._stack.enter_async_context(device)
            sensors.append(sensor(name, "pms5003", link))
        text = configuration(self._broker.url, sensors, "max_delay_s = 0.2", commit_s=COMMIT_S)
        text = text.replace("[store]\n", "[store]\nmax_bytes = 2000000\n")
        self.agent = AgentProcess(self._folder, text, environ=self._environ, module=self._module)
        await self._start()
        await until(lambda: all(len(said) > 3 for said in self._said.values()) and len(self._said) == 2, 15.0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.agent.kill()
        await self._stack.aclose()

    def _values(self, name: str) -> Callable[[int], Mapping[str, Value]]:
        def values(number: int) -> Mapping[str, Value]:
            self._said[name].setdefault(number, time.monotonic())
            return {"n0_3": number % 60_000, "n10": 0}

        return values

    def _answer(self, session: Session, publish: Publish) -> int | None:
        if self._mode == "silent":
            return None
        rows = publish.leaf.startswith("telemetry/dust-")
        if rows and self._mode == "refuses" and session.version == 5:
            return 0x97
        bad = rows and any(row.get("n0_3") in self._poison for row in publish.batch.rows)
        if bad and self._mode in ("poisoned", "never acknowledges"):
            if self._mode == "poisoned":
                session.writer.close()
            return None
        if publish.leaf == "telemetry/dust-0":
            self._taken |= {row.get("n0_3", 0) for row in publish.batch.rows}
        return 0

    async def strike(self) -> None:
        """One fault of the disk and one of the broker at one moment, for a while; then both are well again."""
        disk, broker, moment = (self._dice.choice(one) for one in (DISKS, BROKERS, MOMENTS))
        self.done.append(f"{disk} x {broker} x {moment}")
        before = self._snapshot() if disk == "rewound" else None
        if disk == "rewound":
            await asyncio.sleep(1.0)
        self._break_broker(broker)
        if broker == "poisoned" and moment == "running":
            await self._passes_the_poison()
        elif self._dice.random() < 0.5:
            await asyncio.sleep(self._dice.uniform(0.5, 4.0))
        if moment == "running" and disk not in ("rewound",):
            self._break_disk(disk, self.agent.pid)
            if disk in FAILING and broker == "well":
                await self._goes_on_publishing()
            elif disk == "deleted":
                await self._comes_back()
            else:
                await asyncio.sleep(self._dice.uniform(0.2, 5.0))
        else:
            await self._interrupt(disk, moment, before)
            await asyncio.sleep(self._dice.uniform(0.2, 3.0))
        self._mode, self._broker.deny = "well", False
        if disk in FAILING:
            self._disk.recover(self.agent.pid if disk == "protected" or not self._disk.mounted else None)
        await asyncio.sleep(self._dice.uniform(0.0, 2.0))
        if not self.agent.running():
            raise Violation(f"the agent has ended: {self.agent.lines[-4:]}")

    async def _goes_on_publishing(self) -> None:
        """While the disk takes nothing and the broker is well, the city still gets its readings."""
        await asyncio.sleep(6.0)
        count = len(self._batches())
        with contextlib.suppress(TimeoutError):
            await until(lambda: len(self._batches()) > count, 5.0)
        if len(self._batches()) == count:
            raise Violation(f"nothing is published while the disk takes nothing: {self.agent.lines[-3:]}")

    async def _passes_the_poison(self) -> None:
        """One reading that the broker cannot take holds up the next ones for a bounded time only."""
        said, poison = self._said["dust-0"], max(self._poison)
        with contextlib.suppress(TimeoutError):
            await until(lambda: {poison - 1, poison + 1, poison + 2} <= self._taken, 40.0)
            return
        if len(said) > poison + 100:
            raise Violation(f"nothing passes what the broker cannot take: {self.agent.lines[-3:]}")

    async def _comes_back(self) -> None:
        """A store that was deleted under the agent is noticed, and there again."""
        store = self._folder / "state" / "store.db"
        with contextlib.suppress(TimeoutError):
            await until(store.exists, 16.0)
        if not store.exists():
            raise Violation("a deleted store was not noticed")

    async def _interrupt(self, disk: str, moment: str, before: Path | None) -> None:
        """End the agent while a disk is failing, and start it again on it."""
        failing = disk in FAILING
        began_s = time.monotonic()
        if failing and self._dice.random() < 0.5:
            self._break_disk(disk, self.agent.pid)
            await asyncio.sleep(self._dice.uniform(0.2, 5.0))
        # A power cut may take what was measured within commit_s; more, where nothing could be written.
        lost_from_s = time.monotonic() - COMMIT_S - 1.0
        if failing or disk != "well" or not self._durable():
            lost_from_s = min(lost_from_s, began_s - 16.0)
        if moment == "stopped":
            with contextlib.suppress(asyncio.TimeoutError):
                await self.agent.stop()
            found = [re.search(r"(\d+) readings were neither", line) for line in self.agent.lines[-6:]]
            self._left += sum(int(one[1]) for one in found if one is not None)
            if not failing:
                lost_from_s = time.monotonic() - 0.5
        else:
            await self.agent.kill()
        if before is not None:
            self._rewind(before)
            lost_from_s = min(lost_from_s, began_s - 3.0)
        elif not failing:
            self._break_disk(disk, None)
            if disk in ("damaged", "deleted", "folder deleted"):
                lost_from_s = min(lost_from_s, began_s - 20.0)
        await self._start()
        self._excused.append((lost_from_s, time.monotonic() + 1.5))

    def _durable(self) -> bool:
        """Whether the agent says that the disk takes what it gives."""
        told = [line for line in self.agent.lines if "in memory" in line or "can be written again" in line]
        return not told or "can be written again" in told[-1]

    async def _start(self) -> None:
        await self.agent.start({"GARDU_BOOT": f"b00700{self._boot:02x}"})

    def _break_broker(self, how: str) -> None:
        self._mode = how
        if how in ("poisoned", "never acknowledges"):
            self._poison.add(len(self._said["dust-0"]) + 10)
        if how == "away":
            self._broker.deny = True
        if how in ("away", "garbage"):
            for one in self._broker.sessions:
                if not one.ended:
                    if how == "garbage":
                        one.writer.write(self._dice.randbytes(200))
                    else:
                        one.writer.close()

    def _break_disk(self, how: str, pid: int | None) -> None:
        store = self._folder / "state" / "store.db"
        with contextlib.suppress(OSError, ProcessLookupError):
            if how == "full":
                self._disk.fill(pid)
            elif how == "no inodes":
                self._disk.use_up_inodes(pid)
            elif how == "protected" and pid is not None:
                self._disk.protect(pid)
            elif how == "damaged":
                kind = self._dice.choice(("zeros", "noise", "bitflip", "half", "copy"))
                damage_page(store, self._dice.randint(1, max(1, page_count(store))), kind, self._dice.randrange(1000))
            elif how == "deleted":
                delete_store(store)
            elif how == "folder deleted":
                for one in (self._folder / "state").iterdir():
                    delete_folder(one) if one.is_dir() else one.unlink()

    def _snapshot(self) -> Path:
        """The store as it is on the disk now: what a card that lies about fsync may fall back to."""
        kept = self._folder / "snapshot"
        shutil.rmtree(kept, ignore_errors=True)
        with contextlib.suppress(OSError):
            shutil.copytree(self._folder / "state", kept, ignore=shutil.ignore_patterns("filler*", "*.broken*", "lock"))
        return kept

    def _rewind(self, kept: Path) -> None:
        """The power was cut, and the card has forgotten its last seconds: another boot, with older files."""
        self._boot += 1
        with contextlib.suppress(OSError):
            for name in ("store.db", "store.db-wal"):
                (self._folder / "state" / name).unlink(missing_ok=True)
                if (kept / name).exists():
                    shutil.copy(kept / name, self._folder / "state" / name)

    async def judge(self) -> None:
        """Let everything arrive; stop; compare. Raises :class:`Violation`."""
        self._mode, self._broker.deny = "well", False
        self._disk.recover(self.agent.pid if self.agent.running() else None)
        await self._same_reply_again()
        await self._drained()
        for device in self._devices.values():
            device.silence()
        await asyncio.sleep(1.0)
        status, _ = await self.agent.stop()
        if status:
            raise Violation(f"exit status {status}")
        if any("Traceback" in line for line in self.agent.lines):
            raise Violation("a traceback")
        self._compare()
        self._look_at_messages()

    async def _drained(self) -> None:
        """Wait until nothing late comes any more."""
        end_s, quiet_s = time.monotonic() + _DRAIN_S, time.monotonic()
        count = -1
        while time.monotonic() - quiet_s < 4.0:
            late = sum(len(one.batch.rows) for one in self._batches() if one.batch.late)
            if late != count:
                count, quiet_s = late, time.monotonic()
            if time.monotonic() > end_s:
                raise Violation("the backlog does not end")
            await asyncio.sleep(0.5)

    def _batches(self) -> list[Publish]:
        return [one for one in self._broker.published() if one.leaf.startswith(("telemetry/dust", "event/"))]

    def _compare(self) -> None:
        arrived: dict[str, dict[int, set[tuple[str, int]]]] = defaultdict(lambda: defaultdict(set))
        owner: dict[tuple[str, str, int], int] = {}
        counted: Counter[str] = Counter()
        events: set[tuple[str, int]] = set()
        for message in self._batches():
            batch = message.batch
            for at, row in enumerate(batch.rows):
                key = batch.ep, batch.seq + at
                if message.leaf.startswith("telemetry/"):
                    number = int(row["n0_3"])
                    if owner.setdefault((message.leaf, *key), number) != number:
                        raise Violation(f"{message.leaf} {key} was given to two readings")
                    arrived[message.leaf][number].add(key)
                elif row["ev"] == "rows_lost" and key not in events:
                    events.add(key)
                    counted[str(row["stream"])] += int(row["n"])
        for name, said in self._said.items():
            stream = f"telemetry/{name}"
            owed = [number for number, at_s in said.items() if number < len(said) - 1 and not self._is_excused(at_s)]
            missing = [number for number in owed if number not in arrived[stream]]
            if len(missing) > counted[stream] + self._left:
                raise Violation(f"{stream}: {len(missing)} missing ({missing[:8]} …), {counted[stream]} counted")
            twice = [number for number, keys in arrived[stream].items() if len(keys) > 1]
            if twice:
                raise Violation(f"{stream}: {twice[:8]} came under two numbers")

    def _is_excused(self, at_s: float) -> bool:
        return any(begin <= at_s <= end for begin, end in self._excused)

    def _look_at_messages(self) -> None:
        """A backlog comes in whole messages; rows never come before their description."""
        late = [len(one.batch.rows) for one in self._batches() if one.batch.late and one.leaf.startswith("telemetry/")]
        if sum(late) > 300 and sum(late) / len(late) < 3:
            raise Violation(f"{sum(late)} late rows in {len(late)} messages")

    async def _same_reply_again(self) -> None:
        """A command that is repeated is answered with the result of the first time."""
        with contextlib.suppress(TimeoutError):
            await until(lambda: any(not one.ended and "streams" in one.leaves() for one in self._broker.sessions), 35.0)
        session = self._broker.sessions[-1]
        asked = json.dumps({"id": "twice", "exp": round(1000 * time.time()) + 60_000}).encode()
        for count in (1, 2):
            session.publish(f"{BASE}/command/ping".encode(), asked)
            with contextlib.suppress(TimeoutError):
                await until(lambda count=count: session.leaves().count("reply/twice") >= count, 3.0)
        replies: list[Any] = [json.loads(one.payload) for one in session.published if one.leaf == "reply/twice"]
        if len(replies) == 2 and replies[0]["result"] != replies[1]["result"]:
            raise Violation("a repeated command was answered otherwise")
