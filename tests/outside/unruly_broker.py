"""A broker that misbehaves in the ways that brokers do, and keeps what came and what it has taken."""

import random
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from agent.delivery import wire
from tests.support.mqtt_packets import Publish
from tests.support.scripted_broker import ScriptedBroker, Session

MISDEEDS = ("well", "well", "away", "silent", "poisoned", "never acknowledges", "refuses", "garbage")
_REFUSED = 0x97


@dataclass(frozen=True, slots=True)
class Arrival:
    """A batch as it came. ``taken``: the broker acknowledged it; ``place``: among all messages of its session."""

    leaf: str
    meta_hash: str
    batch: wire.Batch
    taken: bool
    late: bool
    at_s: float
    session: Session
    place: int


class UnrulyBroker(ScriptedBroker):
    """Does what ``mode`` says to the gateway, whose readings ``n0_3`` of ``telemetry/dust-…`` are counted.

    ``taken``: by stream, the readings that it acknowledged, with the time of the first acknowledgement; ``poison``:
    readings that it cannot take while it is told so; ``streams``: by stream and epoch, the highest following number
    that it was told.
    """

    def __init__(self, dice: random.Random) -> None:
        super().__init__(versions=(dice.choice((4, 5)),), answer=self._answer_as_told)
        self._dice = dice
        self.mode = "well"
        self.arrivals: list[Arrival] = []
        self.taken: dict[str, dict[int, float]] = defaultdict(dict)
        self.poison: set[int] = set()

    def session(self) -> Session | None:
        """The newest session, if it lasts."""
        return self.sessions[-1] if self.sessions and not self.sessions[-1].ended else None

    def misbehave(self, how: str) -> None:
        """Begin to."""
        self.mode, self.deny = how, how == "away"
        for session in self.sessions:
            if session.ended or how not in ("away", "garbage"):
                continue
            if how == "garbage":
                session.writer.write(self._dice.randbytes(200))
            else:
                session.writer.close()

    def behave(self, all_at_once: bool = False) -> None:
        """Be well again. A session in which a message was never acknowledged is mostly ended (always, if
        ``all_at_once``): the agent may otherwise wait for its acknowledgement, as it should."""
        if all_at_once or self._dice.random() < 0.85:
            for session in self.sessions:
                if not session.ended and session.open:
                    session.writer.close()
        self.mode, self.deny = "well", False

    def _answer_as_told(self, session: Session, publish: Publish) -> int | None:
        if not publish.leaf.startswith(("telemetry/", "event/")):
            return None if self.mode == "silent" else 0
        message = publish.message
        batch = wire.parse_batch(message)
        answer = self._judged(session, publish.leaf, batch)
        now_s = time.monotonic()
        place = len(session.published) - 1
        arrival = Arrival(publish.leaf, message["mh"], batch, answer == 0, batch.late, now_s, session, place)
        self.arrivals.append(arrival)
        if answer == 0 and publish.leaf.startswith("telemetry/dust-"):
            for row in batch.rows:
                self.taken[publish.leaf].setdefault(number_of(row), now_s)
        return answer

    def _judged(self, session: Session, leaf: str, batch: wire.Batch) -> int | None:
        if self.mode == "silent":
            return None
        if not leaf.startswith("telemetry/dust-"):
            return 0
        if self.mode == "refuses" and session.version == 5:
            return _REFUSED
        if self.mode in ("poisoned", "never acknowledges") and any(number_of(row) in self.poison for row in batch.rows):
            if self.mode == "poisoned":
                session.writer.close()
            return None
        return 0


def number_of(row: dict[str, Any]) -> int:
    """The count that a reading of a dust sensor carries."""
    return int(row.get("n0_3") or 0)
