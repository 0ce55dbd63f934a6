"""What a subscriber may ask of a gateway at any time: old rows once more, and the same command twice."""

import contextlib
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.outside.fault_judge import Violation
from tests.outside.unruly_broker import Arrival, UnrulyBroker
from tests.support.mosquitto import until
from tests.support.scripted_broker import Session

_REPLY_S = 5.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows that were asked for again. ``place``: of the question among the messages of the session."""

    session: Session
    place: int
    stream: str
    epoch: str
    start: int
    stop: int

    def answered_by(self, arrival: Arrival) -> bool:
        """Whether this brings some of the rows."""
        if arrival.session is not self.session or arrival.place < self.place or not arrival.late:
            return False
        start, stop = arrival.batch.seq, arrival.batch.seq + len(arrival.batch.rows)
        return (
            (arrival.leaf, arrival.batch.epoch) == (self.stream, self.epoch) and start < self.stop and self.start < stop
        )


class SubscriberAsks:
    """Asks now and then; :meth:`check` says at the end whether the answers were right."""

    def __init__(self, broker: UnrulyBroker, dice: random.Random) -> None:
        self._broker = broker
        self._dice = dice
        self._count = 0
        self._asked: list[Asked] = []
        self._forgotten_s = 0.0

    def forget(self) -> None:
        """A store was destroyed: with it, descriptions of older rows may be gone."""
        self._forgotten_s = time.monotonic()

    async def ask(self, base: str) -> None:
        """Ask for old rows twice, and the same thing twice."""
        session = self._broker.session()
        if session is not None:
            for _ in range(2):
                if not await self._rows_again(session, base):
                    break
            await self._the_same(session, base)

    async def _rows_again(self, session: Session, base: str) -> bool:
        """Ask for rows that were delivered, by their old description if there are such; whether they came."""
        rows = self._delivered(session)
        if not rows:
            return False
        now = _described(session)
        # The newest of them: floods push the others out of the store soon.
        old = self._dice.choice([one for one in rows if one.meta_hash != now][-5:] or rows[-20:])
        start, stop = old.batch.seq, old.batch.seq + self._dice.randint(1, len(old.batch.rows))
        asked = Asked(session, len(session.published), old.leaf, old.batch.epoch, start, stop)
        words = {"stream": old.leaf, "ep": old.batch.epoch, "from": start, "to": stop - 1}
        reply = await self._reply(session, f"{base}/command/resend", self._next_id(), words)
        if reply is None or reply["status"] != "done" or not reply["result"]["sent"]:
            return False
        self._asked.append(asked)
        with contextlib.suppress(TimeoutError):
            await until(lambda: any(asked.answered_by(one) for one in self._broker.arrivals[-200:]), _REPLY_S)
            return True
        return False

    def _delivered(self, session: Session) -> list[Arrival]:
        """Rows that the agent knows to be delivered, by what it says in this session: it sends them again only because
        somebody asks."""
        settled = {
            (one.leaf, one.batch.epoch): one.batch.low_water for one in self._broker.arrivals if one.session is session
        }
        return [
            one
            for one in self._broker.arrivals
            if one.leaf.startswith("telemetry/dust-")
            and one.batch.seq + len(one.batch.rows) <= settled.get((one.leaf, one.batch.epoch), 0)
        ]

    async def _the_same(self, session: Session, base: str) -> None:
        """A command that is repeated is answered with the result of the first time."""
        identity = self._next_id()
        replies = [await self._reply(session, f"{base}/command/ping", identity, {}) for _ in range(2)]
        first, second = [reply and (reply["status"], reply["result"]) for reply in replies]
        if first and second and first != second:
            raise Violation(f"a repeated command was answered with {second}, not {first}")

    def _next_id(self) -> str:
        self._count += 1
        return f"asked-{self._count}"

    async def _reply(
        self, session: Session, topic: str, identity: str, asked: Mapping[str, object]
    ) -> dict[str, Any] | None:
        """Ask; the reply, ``None`` where none came."""
        leaf = f"reply/{identity}"
        before = session.leaves().count(leaf)
        question = {"id": identity, "exp": round(1000 * time.time()) + 60_000, **asked}
        session.publish(topic.encode(), json.dumps(question).encode())
        with contextlib.suppress(TimeoutError):
            await until(lambda: session.leaves().count(leaf) > before, _REPLY_S)
        replies = [json.loads(one.payload) for one in session.published if one.leaf == leaf]
        return replies[-1] if len(replies) > before else None

    def check(self) -> None:
        """Rows that were asked for came behind the description that they need. Raises :class:`Violation`."""
        for asked in self._asked:
            for arrival in self._broker.arrivals:
                if asked.answered_by(arrival):
                    self._check_described(asked, arrival)

    def _check_described(self, asked: Asked, arrival: Arrival) -> None:
        if arrival.meta_hash in ("", _described(asked.session)) or arrival.at_s < self._forgotten_s:
            return
        leaves = asked.session.leaves()
        if f"meta/{arrival.meta_hash}" not in leaves[asked.place : arrival.place]:
            raise Violation(f"{asked.stream} from {asked.start} on was sent again without the meta/{arrival.meta_hash}")


def _described(session: Session) -> str:
    """The hash of what the sensors of a session are."""
    metas = (one for one in reversed(session.published) if one.leaf == "meta" and one.payload)
    return next((str(one.message["mh"]) for one in metas), "")
