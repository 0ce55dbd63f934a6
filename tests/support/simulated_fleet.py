"""Gateways as their broker sees them, as far as configurations go: one client speaks for all of them."""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.update.signed import dsse
from tests.support.mqtt_caller import Arrived, Caller

ROOT = "makassar/v1/security/checkpoint"


class SimulatedFleet:
    """``with SimulatedFleet(port, names) as fleet``: each is online, runs its own files, and confirms what it is sent.

    ``received``: to whom something came, in its order.
    """

    def __init__(
        self, port: int, names: Sequence[str], trusted: Path | None = None, login: tuple[str, str] | None = None
    ) -> None:
        self.received: list[str] = []
        self._names = names
        self._caller = _Answering(self, port, login[0] if login else "simulator", trusted, login=login)

    def __enter__(self) -> "SimulatedFleet":
        self._caller.__enter__()
        for name in self._names:
            self._caller.put(f"{ROOT}/{name}/state", online_state())
            self._caller.put(f"{ROOT}/{name}/config/reported", report(0, ""))
        # The last one is acknowledged after all the others.
        self._caller.publish(f"{ROOT}/{self._names[-1]}/meta", b"", retain=True)
        self._caller.subscribe(f"{ROOT}/+/config/desired")
        return self

    def __exit__(self, *error: object) -> None:
        self._caller.__exit__(*error)

    @staticmethod
    def answer(message: bytes) -> dict[str, Any]:
        """What a gateway reports that took this, and has confirmed it."""
        payload = dsse.parse(message).payload
        return report(json.loads(payload)["version"], hashlib.sha256(payload).hexdigest())

    def take(self, message: Arrived) -> None:
        """Something came for one of them."""
        self.received.append(message.topic.split("/")[-3])
        self._caller.put(message.topic.replace("/desired", "/reported"), self.answer(message.payload))


class _Answering(Caller):
    """A caller that hands on what comes, and can publish from there without waiting."""

    def __init__(self, fleet: SimulatedFleet, *more: Any, **named: Any) -> None:
        super().__init__(*more, **named)
        self._fleet = fleet

    def put(self, topic: str, message: dict[str, Any]) -> None:
        """Publish retained."""
        self._client.publish(topic, json.dumps(message).encode(), 1, True)

    def _take(self, client: Any, userdata: Any, message: Any) -> None:
        self._fleet.take(Arrived(message.topic, bytes(message.payload), message.retain))


def online_state() -> dict[str, Any]:
    """The ``state`` of a gateway that has just started."""
    now = time.time_ns() // 1_000_000
    first = "0" * 8
    return {"v": 1, "online": True, "gen": 1, "ep": first, "bid": first, "agent": "0.1.0", "t": now, "reason": "start"}


def report(version: int, digest: str) -> dict[str, Any]:
    """A ``config/reported`` of a configuration that runs and is kept."""
    ours = {"version": version, "hash": digest}
    now = time.time_ns() // 1_000_000
    return {
        "v": 1,
        **ours,
        "state": "confirmed",
        "cause": None,
        "running": ours,
        "drift": [],
        "trust_version": 1,
        "t": now,
    }
