"""Feeds every topic, file and port of a running agent with bent real messages, and looks whether it is still well."""

import asyncio
import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.base.timekeeping.trusted_time import rfc_3339
from agent.commands.registry import COMMANDS
from agent.update.signed.dsse import COMMAND_TYPE, CONFIG_TYPE
from tests.outside.fed_agent import FedAgent, Unwell, soon_ms
from tests.outside.mutations import ODD_BYTES, bent_bytes, bent_json
from tests.support.agent_process import BASE, GATEWAY

__all__ = ["HostileFeed", "Unwell"]

SDS011 = bytes.fromhex("AAC0D4043A0AA1601DAB")
NMEA = b"$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76\r\n"


class HostileFeed(FedAgent):
    """A city of one gateway and nothing but enemies. ``async with`` it, then :meth:`round`. ``done``: what was done
    last."""

    def __init__(
        self, folder: Path, seed: int, module: str = "agent", environ: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(folder, seed, module, environ)
        self._version = 0
        self.done: deque[str] = deque(maxlen=40)
        self._actions: list[tuple[int, Callable[[], Any]]] = [
            (30, self._command),
            (6, self._signed_command),
            (12, self._configuration),
            (4, self._trust),
            (8, self._own),
            (8, self._odd_topic),
            (1, self._oversized),
            (1, self._not_mqtt),
            (2, self._files),
            (3, self._state_files),
            (12, self._port),
            (1, self._restart),
            (1, self._second_url),
            (1, self._again),
        ]

    async def round(self) -> None:
        """Do thirty hostile things, then look. Raises :class:`Unwell`."""
        weights = [weight for weight, _ in self._actions]
        for _ in range(30):
            (_, action), *_ = self.dice.choices(self._actions, weights)
            self.done.append(getattr(action, "__name__", "?"))
            try:
                result = action()
                if asyncio.iscoroutine(result):
                    await result
            except ProcessLookupError:
                break  # it has ended
            await asyncio.sleep(0)
        await self.look()

    def _say(self, leaf: str, payload: bytes, mid: int = 1) -> None:
        session = self.session()
        if session is not None:
            session.publish(f"{BASE}/{leaf}".encode(), payload, mid)

    def _command(self) -> None:
        # Most often what the shipped ACL lets every subscriber ask.
        name = self.dice.choice((*["resend"] * 4, *["read"] * 3, "ping", *sorted(COMMANDS)))
        self._say(f"command/{name}", self._bent(self._asked(name)))

    def _signed_command(self) -> None:
        name = self.dice.choice(sorted(COMMANDS))
        asked = {**self._asked(name), "command": name, "gateway": GATEWAY}
        payload = json.dumps(asked).encode() if self.dice.random() < 0.3 else bent_json(asked, self.dice)
        message = self.maintainer.signed(COMMAND_TYPE, payload, "command")
        self._say(f"command/{name}", message if self.dice.random() < 0.7 else self._bent(json.loads(message)))

    def _asked(self, name: str) -> dict[str, Any]:
        more: dict[str, Any] = {
            "read": {"sensor": "load"},
            "restart": {"sensor": "air-1"},
            "output": {"sensor": "load", "value": 1},
            "resend": {"stream": "telemetry/load", "ep": "00000000", "from": 1, "to": 5},
            "certificate": {"pem": "x"},
            "plan": {"envelope": self._desired().decode()},
        }.get(name, {})
        repeated = self.dice.random() < 0.2
        return {"id": f"h{self.dice.randrange(50 if repeated else 1 << 30)}", "exp": soon_ms(), **more}

    def _configuration(self) -> None:
        self._say("config/desired", self._desired(bend=self.dice.random() < 0.8))

    def _desired(self, bend: bool = False, second: str = "") -> bytes:
        reported = [json.loads(one.payload) for one in self.broker.published()[-400:] if one.leaf == "config/reported"]
        self._version = max(self._version, *(one["version"] for one in reported[-3:]), 0)
        now_ms = round(1000 * time.time())
        document = {
            "target": {"gateways": [GATEWAY]},
            "version": self._version + 1,
            "issued": rfc_3339(now_ms),
            "expires": rfc_3339(now_ms + 86_400_000),
            "confirm_s": 1,
            "min_agent": "0.0",
            "config": {"broker": {"url": self.broker.url}, "publish": {"max_delay_s": 0.2}, "sensor": []},
        }
        config: Any = document["config"]
        if second:
            config["broker"]["url"] = [self.broker.url, second]
        config["sensor"] = [
            {"id": "load", "driver": "system", "interval_s": 0.2},
            {
                "id": "air-1",
                "driver": "sds011",
                "port": os.ttyname(self.ptys[0][1]),
                "required": False,
                "max_rows_per_s": 1,
            },
            {
                "id": "lines-1",
                "driver": "serial_line",
                "port": os.ttyname(self.ptys[2][1]),
                "required": False,
                "lines": {"format": "pattern", "pattern": "(a+)+b(?P<n>[0-9]+)"},
                "fields": {"n": {}},
            },
        ]
        payload = json.dumps(document).encode()
        if bend:
            kept = {"broker": config.pop("broker"), "sensor": [config["sensor"].pop(0)]}
            bent = bent_json(document, self.dice)
            payload = bent
            with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
                # What the gateway is reached by and looked at with stays, where the rest is still a configuration.
                again = json.loads(bent.decode("utf-8", "surrogatepass"))
                again["config"] = {**again["config"], **kept, "sensor": kept["sensor"] + again["config"]["sensor"]}
                payload = json.dumps(again).encode()
        message = self.maintainer.signed(CONFIG_TYPE, payload, "config")
        return message if not bend or self.dice.random() < 0.7 else self._bent(json.loads(message))

    def _trust(self) -> None:
        chain = self.maintainer.chain(self.dice.choice((1, 3, 150)), self.dice.choice((1, 2)))
        self._say("config/trust", chain if self.dice.random() < 0.2 else self._bent(json.loads(chain)))

    def _own(self) -> None:
        """The gateway's own topics, as somebody else would write them."""
        known = [one for one in self.broker.published()[-50:] if one.payload[:1] == b"{"]
        if known:
            one = self.dice.choice(known)
            self._say(one.leaf, self._bent(json.loads(one.payload)))

    def _odd_topic(self) -> None:
        session = self.session()
        if session is not None:
            topic = bent_bytes(f"{BASE}/command/ping".encode(), self.dice) + self.dice.choice(ODD_BYTES)
            session.publish(topic[:60_000], b"{}", self.dice.choice((0, 7)))

    def _oversized(self) -> None:
        size = self.dice.choice((262_000, 262_144, 300_000, 3_000_000, 100_000_000))
        self._say(self.dice.choice(("command/ping", "config/desired", "config/trust", "state")), bytes(size))

    async def _not_mqtt(self) -> None:
        session = self.session()
        if session is not None:
            session.writer.write(
                self.dice.choice((self.dice.randbytes(30), b"\x34\x05\0\1a\0\1", b"\x32\xff\xff\xff\xff"))
            )
            await asyncio.sleep(0.1)

    async def _files(self) -> None:
        file = self.folder / self.dice.choice(("gardu.toml", "local.toml", "trust.json"))
        before = file.read_bytes() if file.exists() else b""
        file.write_bytes(bent_bytes(before or b"[publish]\nmax_rows = 5\n", self.dice))
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
            one = self.dice.choice(found)
            one.write_bytes(bent_bytes(one.read_bytes()[:4096], self.dice))

    async def _port(self) -> None:
        """Bent frames, or a flood of good ones, at one of the ports."""
        at = self.dice.randrange(3)
        frame = (SDS011, NMEA, b"a" * 300 + b"\n")[at]
        raw = bent_bytes(frame, self.dice) if self.dice.random() < 0.6 else frame * (4000 // len(frame))
        end_s = time.monotonic() + self.dice.choice((0.0, 0.0, 0.0, 0.8))
        while True:
            with contextlib.suppress(BlockingIOError):
                os.write(self.ptys[at][0], raw)
            if time.monotonic() >= end_s:
                return
            await asyncio.sleep(0.001)

    async def _restart(self) -> None:
        await self.agent.kill()
        await self.agent.start()
        self.starts += 1
        await asyncio.sleep(0.3)

    async def _second_url(self) -> None:
        """A configuration whose second broker is none, and then the first one is away for a moment."""
        url = self.dice.choice(("mqtt://a..b", "mqtt://..", "mqtt://127.0.0.1:9", "mqtt://" + "x" * 70))
        self._say("config/desired", self._desired(second=url))
        await asyncio.sleep(self.dice.choice((0.0, 1.5)))
        self.broker.deny = True
        session = self.session()
        if session is not None:
            session.writer.close()
        await asyncio.sleep(1.5)
        self.broker.deny = False

    def _again(self) -> None:
        """What the gateway has said already, once more, as a command would come again."""
        asked = {"id": "again", "exp": soon_ms()}
        for _ in range(self.dice.choice((2, 300))):
            self._say("command/ping", json.dumps(asked).encode())

    def _bent(self, value: Any) -> bytes:
        if self.dice.random() < 0.6:
            return bent_json(value, self.dice)
        return bent_bytes(json.dumps(value).encode(), self.dice)
