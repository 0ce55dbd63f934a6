"""What a subscriber may ask of a gateway at any time: old rows once more, and the same command twice."""

import contextlib
import json
import random
import time
from dataclasses import dataclass

from tests.outside.fault_judge import Violation
from tests.outside.unruly_broker import Arrival, UnrulyBroker
from tests.support.mosquitto import until
from tests.support.scripted_broker import Session

_REPLY_S = 5.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows that were asked for again. ``place``, ``answered``: of the question and its reply among the messages of the
    session."""

    session: Session
    place: int
    answered: int
    stream: str
    ep: str
    start: int
    stop: int


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
        for _ in range(2):
            await self._rows_again(base)
        await self._the_same(base)

    async def _rows_again(self, base: str) -> None:
        session = self._broker.session()
        rows = [one for one in self._broker.arrivals if one.taken and one.leaf.startswith("telemetry/dust-")]
        if session is None or not rows:
            return
        now = _described(session)
        # The newest of them: floods push the others out of the store soon.
        old = self._dice.choice([one for one in rows if one.mh != now][-5:] or rows[-20:])
        start = old.batch.seq
        stop = start + self._dice.randint(1, len(old.batch.rows))
        place = len(session.published)
        asked = {"stream": old.leaf, "ep": old.batch.ep, "from": start, "to": stop - 1}
        if await self._reply(session, f"{base}/command/resend", self._next_id(), asked) is not None:
            answered = next(at for at in range(place, len(session.published)) if "reply/" in session.published[at].leaf)
            self._asked.append(Asked(session, place, answered, old.leaf, old.batch.ep, start, stop))

    async def _the_same(self, base: str) -> None:
        """A command that is repeated is answered with the result of the first time."""
        session = self._broker.session()
        if session is None:
            return
        identity = self._next_id()
        first, second = [await self._reply(session, f"{base}/command/ping", identity, {}) for _ in range(2)]
        if first is not None and second is not None and first != second:
            raise Violation(f"a repeated command was answered with {second!r}, not {first!r}")

    def _next_id(self) -> str:
        self._count += 1
        return f"asked-{self._count}"

    async def _reply(self, session: Session, topic: str, identity: str, asked: dict[str, object]) -> object:
        """Ask; the reply's status and result, ``None`` where none came."""
        leaf = f"reply/{identity}"
        before = session.leaves().count(leaf)
        question = {"id": identity, "exp": round(1000 * time.time()) + 60_000, **asked}
        session.publish(topic.encode(), json.dumps(question).encode())
        with contextlib.suppress(TimeoutError):
            await until(lambda: session.leaves().count(leaf) > before, _REPLY_S)
        replies = [json.loads(one.payload) for one in session.published if one.leaf == leaf]
        return [replies[-1]["status"], replies[-1]["result"]] if len(replies) > before else None

    def check(self) -> None:
        """Rows that were asked for came behind the description that they need. Raises :class:`Violation`."""
        for asked in self._asked:
            for arrival in self._broker.arrivals:
                if (
                    arrival.session is asked.session
                    and arrival.place > asked.answered
                    and self._answers(asked, arrival)
                ):
                    self._check_described(asked, arrival)

    @staticmethod
    def _answers(asked: Asked, arrival: Arrival) -> bool:
        if arrival.session is not asked.session or arrival.place <= asked.answered or not arrival.late:
            return False
        start, stop = arrival.batch.seq, arrival.batch.seq + len(arrival.batch.rows)
        same = (arrival.leaf, arrival.batch.ep) == (asked.stream, asked.ep)
        return same and start < asked.stop and asked.start < stop

    def _check_described(self, asked: Asked, arrival: Arrival) -> None:
        if arrival.mh in ("", _described(asked.session)) or arrival.at_s < self._forgotten_s:
            return
        leaves = asked.session.leaves()
        if f"meta/{arrival.mh}" not in leaves[asked.place : arrival.place]:
            raise Violation(f"{asked.stream} from {asked.start} on was sent again without the meta/{arrival.mh}")


def _described(session: Session) -> str:
    """The hash of what the sensors of a session are."""
    metas = (one for one in reversed(session.published) if one.leaf == "meta" and one.payload)
    return next((str(one.message["mh"]) for one in metas), "")
