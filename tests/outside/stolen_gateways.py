"""Stolen gateways that say anything to a real broker, and the tools of maintainers and subscribers that hear it."""

import asyncio
import contextlib
import csv
import io
import json
import random
import re
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from agent.base.reading import packed
from tests.outside.mutations import ODD_BYTES, bent_bytes, bent_json
from tests.support import simulated_fleet
from tests.support.agent_process import start_gardu
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_caller import Arrived, Caller
from tests.support.simulated_fleet import ROOT, SimulatedFleet

HONEST = ("pos-1", "pos-2")
CLAIMANT = "s-0"
_UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]")
_FORMULA = re.compile(r"[=@]|[+-](?![\d.])")
_TEMPLATE = (
    '[broker]\nurl = "mqtt://b"\n[[sensor]]\nid = "air-a"\ndriver = "sds011"\nport = "/dev/x"\ninterval_s = ${s}\n'
)
_ENDS_S = 40.0
_META = {"v": 1, "mh": "5e2190ab", "sensors": {"dust-1": {"driver": "x", "fields": {"n": {"unit": "ug/m3"}}}}}
_ROW = {"t": 1_795_488_000_123, "n": 4.31, "name": "x", "q": {"n": "bad:crc"}}
_LOST = {
    "t": 1_795_488_000_123,
    "ev": "rows_lost",
    "stream": "telemetry/dust-1",
    "ep": "7c1f9a02",
    "from": 3,
    "to": 5,
    "n": 3,
    "why": "age",
}


class Misled(Exception):
    """A tool ended badly, showed what it must not, or believed what it must not; the text says what."""


class _Honest(SimulatedFleet):
    """Answers for the honest gateways only."""

    def take(self, message: Arrived) -> None:
        if message.topic.split("/")[-3] in HONEST:
            super().take(message)


class StolenGateways:
    """A fleet of two honest gateways, and others. ``async with`` it, then :meth:`round`. ``module``: what is run in
    place of the agent."""

    def __init__(
        self, folder: Path, seed: int, module: str = "agent", environ: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._dice = random.Random(seed)
        self._folder = folder
        self._module, self._environ = module, environ
        self._maintainer = Maintainer(folder / "keys")
        self._broker = Mosquitto(folder)
        self._version = 0
        self._count = 0
        self._stack = contextlib.ExitStack()
        self.done: deque[str] = deque(maxlen=20)
        (folder / "template.toml").write_text(_TEMPLATE)
        (folder / "ring.txt").write_text("\n".join((*HONEST, CLAIMANT)))

    async def __aenter__(self) -> "StolenGateways":
        try:
            self._stack.enter_context(self._broker)
            self._stack.enter_context(_Honest(self._broker.port, HONEST))
            self._stolen = self._stack.enter_context(Caller(self._broker.port, "stolen"))
        except BaseException:
            self._stack.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    async def round(self) -> None:
        """Say something, and use one of the tools. Raises :class:`Misled`."""
        for _ in range(30):
            self._say_anything()
        tool = self._dice.choice((self._status, self._status, self._listen, self._listen, self._push))
        await tool()

    def _say_anything(self) -> None:
        """One bent message below a stolen gateway's path. Retained where gateways retain it."""
        name = f"s-{self._dice.randrange(1, 8)}"
        leaf, message = self._dice.choice(self._messages())
        if self._dice.random() < 0.1:
            name, leaf = self._dice.choice((("=cmd", leaf), (name, "telemetry/=x\u202e"), (name, f"{leaf}\u202e")))
        retained = leaf in ("state", "meta", "streams", "config/reported", "config/desired")
        bent = bent_json(message, self._dice)
        if self._dice.random() < 0.2:
            bent = bent_bytes(bent, self._dice)
        elif not retained and self._dice.random() < 0.5:
            bent = self._packed(message)
        self._stolen.send(f"{ROOT}/{name}/{leaf}", bent, retained)

    def _packed(self, message: Mapping[str, Any]) -> bytes:
        """The message as MessagePack, with something odd where a text was."""
        odd = self._dice.choice((*ODD_BYTES, b"=1+1", b"\x1b[2J", "\u202e".encode(), b"\xed\xa0\x80"))
        return packed(message).replace(b"\xa1x", bytes((0xA0 + len(odd),)) + odd)

    def _messages(self) -> list[tuple[str, dict[str, Any]]]:
        now_ms = round(1000 * time.time())
        self._count += 1
        batch = {
            "v": 1,
            "ep": "7c1f9a02",
            "bid": "b41d0c7e",
            "seq": self._count,
            "lo": self._count,
            "cq": 2,
            "mh": "5e2190ab",
        }
        cause = {"code": "schema", "message": "it is wrong", "path": "sensor.x"}
        numbers = {"first": 1, "lo": 5, "next": 9, "before": [{"ep": "7c1f9a01", "next": 4}]}
        return [
            ("state", {"v": 1, "online": True, "gen": 1, "ep": "7c1f9a02", "agent": "0.1.0", "t": now_ms}),
            ("config/reported", {**simulated_fleet.report(3, "ab" * 32), "drift": ["sensor.x"]}),
            ("config/reported", {**simulated_fleet.report(3, "ab" * 32), "state": "rejected", "cause": cause}),
            ("config/desired", json.loads(self._maintainer.signed("application/x", b"{}", "config"))),
            ("meta", _META),
            ("streams", {"v": 1, "ep": "7c1f9a02", "t": now_ms, "streams": {"telemetry/dust-1": numbers}}),
            ("telemetry/dust-1", {**batch, "r": [_ROW, _ROW]}),
            ("event/_agent", {**batch, "r": [_LOST]}),
        ]

    async def _status(self) -> None:
        """The table of the fleet: honest gateways stand in it with what they said."""
        form = self._dice.choice(((), ("--json",)))
        # Each of them is there: what it reports comes to the table.
        for at in range(1, 8):
            state = {"v": 1, "online": True, "t": round(1000 * time.time())}
            self._stolen.send(f"{ROOT}/s-{at}/state", json.dumps(state).encode(), True)
        out = await self._run("fleet", "status", *form, "--broker", self._broker.url)
        if form:
            found = {one["gateway"]: one for one in json.loads(out)}
            states = [found.get(name, {}).get("state") for name in HONEST]
        else:
            lines = {line.split()[0]: line for line in out.splitlines()}
            states = ["confirmed" if "confirmed" in lines.get(name, "") else "" for name in HONEST]
        if states != ["confirmed"] * len(HONEST):
            raise Misled(f"the honest gateways are {states} in the table")

    async def _listen(self) -> None:
        """A subscriber: rows of honest gateways go on coming between all others."""
        form = self._dice.choice(("table", "jsonl", "csv", "senml"))
        listening = asyncio.create_task(self._run("listen", self._broker.url, "--format", form, "--seconds", "2.5"))
        while not listening.done():
            self._say_anything()
            self._count += 1
            honest = {
                "v": 1,
                "ep": "0" * 8,
                "bid": "0" * 8,
                "seq": self._count,
                "lo": self._count,
                "cq": 2,
                "mh": "5e2190ab",
                "r": [{"t": _ROW["t"], "n": 77_001}],
            }
            self._stolen.send(f"{ROOT}/pos-1/telemetry/dust-1", packed(honest))
            await asyncio.sleep(0.02)
        out = await listening
        if "77001" not in out:
            raise Misled(f"listen shows no row of an honest gateway: {out[-200:]}")
        if form == "csv":
            for row in csv.reader(io.StringIO(out)):
                if any(_FORMULA.match(cell) for cell in row):
                    raise Misled(f"a formula: {row}")

    async def _push(self) -> None:
        """A configuration for the fleet, in which one gateway claims any version."""
        claimed = self._dice.choice((900_000, 2**53 - 1, self._version + 1))
        message = simulated_fleet.report(claimed, "cd" * 32) | {"state": self._dice.choice(("rejected", "confirmed"))}
        self._stolen.publish(f"{ROOT}/{CLAIMANT}/state", b'{"v":1,"online":true,"t":1}', retain=True)
        self._stolen.publish(f"{ROOT}/{CLAIMANT}/config/reported", json.dumps(message).encode(), retain=True)
        self._version += 1
        table = [f"{name},{self._version}" for name in (*HONEST, CLAIMANT)]
        (self._folder / "table.csv").write_text("\n".join(("gateway,s", *table)))
        files = [str(self._folder / name) for name in ("ring.txt", "template.toml", "table.csv")]
        out = await self._run(
            "fleet",
            "push",
            "--ring",
            *files,
            "--key",
            str(self._maintainer.key_file("config")),
            "--timeout",
            "2",
            "--broker",
            self._broker.url,
            statuses=(0, 1),
        )
        found = re.search(r"version ([\d-]+)", out)
        if found is None or found[1] != str(self._version):
            raise Misled(f"version {found and found[1]} was pushed, not {self._version}")

    async def _run(self, *words: str, statuses: tuple[int, ...] = (0,)) -> str:
        """Run a tool to its end; its output. Raises :class:`Misled`."""
        self.done.append(" ".join(words[:4]))
        process = await start_gardu(*words, environ=self._environ, module=self._module)
        try:
            out, err = await asyncio.wait_for(process.communicate(), _ENDS_S)
        except TimeoutError:
            raise Misled(f"{words[:2]} does not end") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        text = (out + err).decode("utf-8", "surrogateescape")
        if "Traceback" in text or process.returncode not in statuses:
            raise Misled(f"{words[:2]} ended with {process.returncode}: {text[-300:]!r}")
        if unsafe := _UNSAFE.search(text):
            raise Misled(f"{words[:2]} shows {unsafe[0]!r}: {text[max(0, unsafe.start() - 40) :][:80]!r}")
        return out.decode("utf-8", "surrogateescape")
