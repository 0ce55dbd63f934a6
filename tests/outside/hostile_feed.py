"""Feeds every topic, file and port of a running agent with bent real messages, and looks whether it is still well."""

import asyncio
import contextlib
import json
import os
import random
import time
import tty
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from agent.core.command import COMMANDS
from agent.core.envelope import COMMAND_TYPE, CONFIG_TYPE
from agent.core.moment import rfc_3339
from tests.outside.mutations import ODD_BYTES, bent_bytes, bent_json
from tests.support.agent_process import BASE, GATEWAY, AgentProcess, configuration, sensor
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import until
from tests.support.scripted_broker import ScriptedBroker, Session

SDS011 = bytes.fromhex("AAC0D4043A0AA1601DAB")
NMEA = b"$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76\r\n"
LINES = "[sensor.lines]\nformat = 'pattern'\npattern = '(?:a|aa)+b(?P<n>[0-9]+)'\n[sensor.fields]\nn = {}\n"
MAX_MB = 110.0
WELL_S = 15.0


class Unwell(Exception):
    """The agent is not as it must be; the text says what is wrong."""


class HostileFeed:
    """A city of one gateway and nothing but enemies. ``async with`` it, then :meth:`round`.

    ``module``: what is run in place of the agent.
    """

    def __init__(
        self, folder: Path, seed: int, module: str = "agent", environ: Mapping[str, str] | None = None
    ) -> None:
        self._dice = random.Random(seed)
        self._folder = folder
        self._maintainer = Maintainer(folder / "keys")
        (folder / "trust.json").write_bytes(self._maintainer.trust())
        self._broker = ScriptedBroker(versions=(self._dice.choice((4, 5)),))
        self._ptys = [os.openpty() for _ in range(3)]
        for master, slave in self._ptys:
            tty.setraw(slave)
            os.set_blocking(master, False)
        self._module, self._environ = module, environ
        self._version = 0
        self._count = 0
        self._starts = 1
        self.done: deque[str] = deque(maxlen=40)
        """The last things that were done."""
        self._actions: list[tuple[int, Callable[[], Any]]] = [
            (30, self._command), (6, self._signed_command), (12, self._configuration), (4, self._trust), (8, self._own),
            (8, self._odd_topic), (1, self._oversized), (1, self._not_mqtt), (2, self._files), (3, self._state_files),
            (12, self._port), (1, self._restart), (1, self._second_url), (1, self._again),
        ]  # fmt: skip

    async def __aenter__(self) -> "HostileFeed":
        await self._broker.__aenter__()
        ports = [os.ttyname(slave) for _, slave in self._ptys]
        sensors = [
            sensor("load", "system", more="interval_s = 0.2"),
            sensor("air-1", "sds011", ports[0], "max_rows_per_s = 5"),
            sensor("bus-1", "nmea0183", ports[1]), sensor("lines-1", "serial_line", ports[2], LINES),
        ]  # fmt: skip
        self._text = configuration(self._broker.url, sensors, "max_delay_s = 0.2", commit_s=0.2)
        self.agent = AgentProcess(self._folder, self._text, environ=self._environ, module=self._module)
        await self.agent.start()
        await until(lambda: self._session() is not None and "streams" in self._broker.sessions[-1].leaves())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.agent.kill()
        await self._broker.__aexit__(kind, error, trace)
        for pair in self._ptys:
            for descriptor in pair:
                os.close(descriptor)

    async def round(self) -> None:
        """Do thirty hostile things, then look. Raises :class:`Unwell`."""
        weights = [weight for weight, _ in self._actions]
        for _ in range(30):
            (_, action), *_ = self._dice.choices(self._actions, weights)
            self.done.append(getattr(action, "__name__", "?"))
            result = action()
            if asyncio.iscoroutine(result):
                await result
            await asyncio.sleep(0)
        await self._look()

    async def _look(self) -> None:
        """The same process runs, answers, measures, and is small and idle."""
        end_s = time.monotonic() + WELL_S
        while not await self._answers():
            if not self.agent.running():
                raise Unwell(f"the agent has ended: {self.agent.lines[-3:]}")
            if time.monotonic() > end_s:
                raise Unwell("it does not answer, or measures nothing")
        if "Traceback" in "".join(self.agent.lines):
            raise Unwell("a traceback")
        if self.agent.peak_mb() > MAX_MB:
            raise Unwell(f"{self.agent.peak_mb():.0f} MB")
        used_s, began_s = _cpu_s(self.agent.pid), time.monotonic()
        await asyncio.sleep(0.3)
        share = (_cpu_s(self.agent.pid) - used_s) / (time.monotonic() - began_s)
        if share > 0.6 and not await self._calms_down():
            raise Unwell(f"{share:.0%} of a core with nothing to do")
        if self._flooded():
            raise Unwell("a sensor stores without bound")

    async def _calms_down(self) -> bool:
        for _ in range(20):
            used_s = _cpu_s(self.agent.pid)
            await asyncio.sleep(0.25)
            if _cpu_s(self.agent.pid) - used_s < 0.1:
                return True
        return False

    def _flooded(self) -> bool:
        """Whether air-1 has stored more than its budget: 5 a second, and 3,000 at once after each change or start."""
        rows = sum(len(batch.rows) for batch in self._broker.batches("telemetry/air-1"))
        changes = sum(one.leaf == "config/reported" for one in self._broker.published())
        return rows > 4_000 * (self._starts + changes)

    async def _answers(self) -> bool:
        """Ask for a sign of life and for a measurement, in the session that there is."""
        session = self._session()
        if session is None:
            await asyncio.sleep(0.1)
            return False
        self._count += 1
        ids = f"well-{self._count}", f"read-{self._count}"
        for name, identity, more in (("ping", ids[0], {}), ("read", ids[1], {"sensor": "load"})):
            asked = {"id": identity, "exp": _soon_ms(), **more}
            session.publish(f"{BASE}/command/{name}".encode(), json.dumps(asked).encode())
        for _ in range(20):
            await asyncio.sleep(0.05)
            done = {one.leaf for one in session.published[-200:] if b'"status":"done"' in one.payload}
            if {f"reply/{one}" for one in ids} <= done:
                return True
        return False

    def _session(self) -> Session | None:
        living = [one for one in self._broker.sessions if not one.ended]
        return living[-1] if living else None

    def _say(self, leaf: str, payload: bytes, mid: int = 1) -> None:
        session = self._session()
        if session is not None:
            session.publish(f"{BASE}/{leaf}".encode(), payload, mid)

    def _command(self) -> None:
        # Most often what the shipped ACL lets every subscriber ask.
        name = self._dice.choice((*["resend"] * 4, *["read"] * 3, "ping", *sorted(COMMANDS)))
        self._say(f"command/{name}", self._bent(self._asked(name)))

    def _signed_command(self) -> None:
        name = self._dice.choice(sorted(COMMANDS))
        asked = {**self._asked(name), "command": name, "gateway": GATEWAY}
        payload = json.dumps(asked).encode() if self._dice.random() < 0.3 else bent_json(asked, self._dice)
        message = self._maintainer.signed(COMMAND_TYPE, payload, "command")
        self._say(f"command/{name}", message if self._dice.random() < 0.7 else self._bent(json.loads(message)))

    def _asked(self, name: str) -> dict[str, Any]:
        more: dict[str, Any] = {
            "read": {"sensor": "load"}, "restart": {"sensor": "air-1"}, "output": {"sensor": "load", "value": 1},
            "resend": {"stream": "telemetry/load", "ep": "00000000", "from": 1, "to": 5}, "certificate": {"pem": "x"},
            "plan": {"envelope": self._desired().decode()},
        }.get(name, {})  # fmt: skip
        repeated = self._dice.random() < 0.2
        return {"id": f"h{self._dice.randrange(50 if repeated else 1 << 30)}", "exp": _soon_ms(), **more}

    def _configuration(self) -> None:
        self._say("config/desired", self._desired(bend=self._dice.random() < 0.8))

    def _desired(self, bend: bool = False, second: str = "") -> bytes:
        reported = [json.loads(one.payload) for one in self._broker.published()[-400:] if one.leaf == "config/reported"]
        self._version = max(self._version, *(one["version"] for one in reported[-3:]), 0)
        now_ms = round(1000 * time.time())
        document = {
            "target": {"gateways": [GATEWAY]}, "version": self._version + 1, "issued": rfc_3339(now_ms),
            "expires": rfc_3339(now_ms + 86_400_000), "confirm_s": 1, "min_agent": "0.0",
            "config": {"broker": {"url": self._broker.url}, "publish": {"max_delay_s": 0.2}, "sensor": []},
        }  # fmt: skip
        config: Any = document["config"]
        if second:
            config["broker"]["url"] = [self._broker.url, second]
        config["sensor"] = [
            {"id": "load", "driver": "system", "interval_s": 0.2},
            {"id": "air-1", "driver": "sds011", "port": "/dev/null", "required": False},
            {"id": "lines-1", "driver": "serial_line", "port": os.ttyname(self._ptys[2][1]), "required": False,
             "lines": {"format": "pattern", "pattern": "(a+)+b(?P<n>[0-9]+)"}, "fields": {"n": {}}},
        ]  # fmt: skip
        payload = json.dumps(document).encode()
        if bend:
            kept = {"broker": config.pop("broker"), "sensor": [config["sensor"].pop(0)]}
            bent = bent_json(document, self._dice)
            payload = bent
            with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
                # What the gateway is reached by and looked at with stays, where the rest is still a configuration.
                again = json.loads(bent.decode("utf-8", "surrogatepass"))
                again["config"] = {**again["config"], **kept, "sensor": kept["sensor"] + again["config"]["sensor"]}
                payload = json.dumps(again).encode()
        message = self._maintainer.signed(CONFIG_TYPE, payload, "config")
        return message if not bend or self._dice.random() < 0.7 else self._bent(json.loads(message))

    def _trust(self) -> None:
        chain = self._maintainer.chain(self._dice.choice((1, 3, 150)), self._dice.choice((1, 2)))
        self._say("config/trust", chain if self._dice.random() < 0.2 else self._bent(json.loads(chain)))

    def _own(self) -> None:
        """The gateway's own topics, as somebody else would write them."""
        known = [one for one in self._broker.published()[-50:] if one.payload[:1] == b"{"]
        if known:
            one = self._dice.choice(known)
            self._say(one.leaf, self._bent(json.loads(one.payload)))

    def _odd_topic(self) -> None:
        session = self._session()
        if session is not None:
            topic = bent_bytes(f"{BASE}/command/ping".encode(), self._dice) + self._dice.choice(ODD_BYTES)
            session.publish(topic[:60_000], b"{}", self._dice.choice((0, 7)))

    def _oversized(self) -> None:
        size = self._dice.choice((262_000, 262_144, 300_000, 3_000_000, 100_000_000))
        self._say(self._dice.choice(("command/ping", "config/desired", "config/trust", "state")), bytes(size))

    async def _not_mqtt(self) -> None:
        session = self._session()
        if session is not None:
            session.writer.write(
                self._dice.choice((self._dice.randbytes(30), b"\x34\x05\0\1a\0\1", b"\x32\xff\xff\xff\xff"))
            )
            await asyncio.sleep(0.1)

    async def _files(self) -> None:
        file = self._folder / self._dice.choice(("gardu.toml", "local.toml", "trust.json"))
        before = file.read_bytes() if file.exists() else b""
        file.write_bytes(bent_bytes(before or b"[publish]\nmax_rows = 5\n", self._dice))
        self.agent.hang_up()
        await asyncio.sleep(0.1)
        if before:
            file.write_bytes(before)
        else:
            file.unlink()
        self.agent.hang_up()

    def _state_files(self) -> None:
        found = [one for one in self.agent.state.rglob("*") if one.is_file() and not one.name.startswith("store")]
        with contextlib.suppress(OSError):
            one = self._dice.choice(found)
            one.write_bytes(bent_bytes(one.read_bytes()[:4096], self._dice))

    async def _port(self) -> None:
        """Bent frames, or a flood of good ones, at one of the ports."""
        at = self._dice.randrange(3)
        frame = (SDS011, NMEA, b"a" * 300 + b"\n")[at]
        raw = bent_bytes(frame, self._dice) if self._dice.random() < 0.6 else frame * (4000 // len(frame))
        end_s = time.monotonic() + self._dice.choice((0.0, 0.0, 0.0, 0.4))
        while True:
            with contextlib.suppress(BlockingIOError):
                os.write(self._ptys[at][0], raw)
            if time.monotonic() >= end_s:
                return
            await asyncio.sleep(0.001)

    async def _restart(self) -> None:
        await self.agent.kill()
        await self.agent.start()
        self._starts += 1
        await asyncio.sleep(0.3)

    async def _second_url(self) -> None:
        """A configuration whose second broker is none, and then the first one is away for a moment."""
        url = self._dice.choice(("mqtt://a..b", "mqtt://..", "mqtt://127.0.0.1:9", "mqtt://" + "x" * 70))
        self._say("config/desired", self._desired(second=url))
        await asyncio.sleep(self._dice.choice((0.0, 1.5)))
        self._broker.deny = True
        session = self._session()
        if session is not None:
            session.writer.close()
        await asyncio.sleep(1.5)
        self._broker.deny = False

    def _again(self) -> None:
        """What the gateway has said already, once more, as a command would come again."""
        asked = {"id": "again", "exp": _soon_ms()}
        for _ in range(self._dice.choice((2, 300))):
            self._say("command/ping", json.dumps(asked).encode())

    def _bent(self, value: Any) -> bytes:
        if self._dice.random() < 0.6:
            return bent_json(value, self._dice)
        return bent_bytes(json.dumps(value).encode(), self._dice)


def _soon_ms() -> int:
    return round(1000 * time.time()) + 60_000


def _cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
