"""Where a gateway stands with its configuration: one value, and the steps from one to the next. Pure.

``none -> staged -> applying -> probation -> confirmed | rolled_back``. Each step is one durable write
(:mod:`agent.edges.update_dir`); after a power cut the agent goes on from the last one.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Literal, TypeVar, cast, get_args

from agent.core.version_mark import Mark

T = TypeVar("T")
Phase = Literal["none", "staged", "applying", "probation", "confirmed", "rolled_back"]
_MOST_BAD = 32
MAX_ATTEMPTS = 3
"""How often a candidate is begun with: a cut of power may be the candidate's fault."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything that makes a configuration: both files of the gateway, and the accepted payload, if there is one."""

    base: str
    overlay: str = ""
    payload: str | None = None

    def encoded(self) -> bytes:
        """As it is kept."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def decoded(cls, raw: bytes) -> "Generation":
        """Read what :meth:`encoded` wrote. Raises :class:`ValueError`."""
        table = json.loads(raw)
        if not isinstance(table, dict):
            raise ValueError("no generation")
        base, overlay, payload = table.get("base"), table.get("overlay"), table.get("payload")
        if not isinstance(base, str) or not isinstance(overlay, str) or not isinstance(payload, str | None):
            raise ValueError("no generation")
        return cls(base, overlay, payload)

    @property
    def name(self) -> str:
        """Its own name: 32 hex digits, from its content."""
        return hashlib.sha256(self.encoded()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a configuration is not the one that was wanted: as in ``config/reported``."""

    code: str
    message: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class UpdateState:
    """``good``, ``before``, ``candidate``: names of generations, empty where there is none; ``before`` is the one
    that was good before. ``trying``: hash of the candidate's payload, empty where it has none. ``attempts``: how often
    the candidate was begun with. ``processed``: SHA-256 of the message that was accepted last. ``bad``: hashes of
    payloads and names of generations that were rolled back. ``cause``: why the last one was.
    ``origin``: fingerprint of the oldest root of the trust file that the technician installed. ``unproven``: hash of
    the payload that was accepted while the clock was unset, and may be found to have expired before."""

    phase: Phase = "none"
    mark: Mark = field(default_factory=Mark)
    good: str = ""
    before: str = ""
    candidate: str = ""
    trying: str = ""
    attempts: int = 0
    processed: str = ""
    bad: tuple[str, ...] = ()
    cause: Cause | None = None
    origin: str = ""
    unproven: str = ""

    @property
    def under_way(self) -> bool:
        """Whether there is a candidate: it is neither confirmed nor rolled back."""
        return self.phase in ("staged", "applying", "probation")

    def adopted(self, generation: str) -> "UpdateState":
        """The first configuration: there is none to go back to, so it counts as good."""
        return replace(self, phase="confirmed", good=generation, candidate="", trying="", attempts=0, cause=None)

    def staged(
        self, generation: str, trying: str = "", message: str = "", mark: Mark | None = None, *, unproven: bool = False
    ) -> "UpdateState":
        """A candidate, in place of one that is still under way: the newest wins."""
        return replace(
            self, phase="staged", candidate=generation, trying=trying, attempts=0, cause=None,
            processed=message or self.processed, mark=mark or self.mark,
            unproven=trying if unproven else self.unproven,
        )  # fmt: skip

    def applying(self) -> "UpdateState":
        """The candidate is begun with: after it was staged, or again after a restart."""
        self._need_candidate()
        return replace(self, phase="applying", attempts=self.attempts + 1)

    def in_probation(self) -> "UpdateState":
        """The candidate runs."""
        self._need_candidate()
        return replace(self, phase="probation")

    def confirmed(self) -> "UpdateState":
        """The candidate is good."""
        self._need_candidate()
        return replace(
            self, phase="confirmed", good=self.candidate, before=self.good, candidate="", trying="", attempts=0,
        )  # fmt: skip

    def rolled_back(self, cause: Cause) -> "UpdateState":
        """The candidate is bad, and never taken again."""
        self._need_candidate()
        return replace(
            self, phase="rolled_back", candidate="", trying="", attempts=0, cause=cause,
            bad=self._bad_with(self.candidate, self.trying),
        )  # fmt: skip

    def withdrawn(self, payload: str, cause: Cause) -> "UpdateState":
        """The good one, with the payload of this hash, never should have been taken: the one before it is good."""
        return replace(
            self, phase="rolled_back", good=self.before, before="", candidate="", trying="", attempts=0, cause=cause,
            bad=self._bad_with(self.good, payload),
        )  # fmt: skip

    def stood_in(self, generation: str) -> "UpdateState":
        """What runs because there is no good one to go back to."""
        return replace(self, good=generation, before="")

    def proven(self) -> "UpdateState":
        """The clock is set, and what was accepted before has not expired."""
        return replace(self, unproven="")

    def set_down(self) -> "UpdateState":
        """The agent is stopped in good order: that a candidate was under way does not count against it."""
        if not self.under_way:
            return self
        return replace(self, phase="staged", attempts=max(0, self.attempts - 1))

    @property
    def worn_out(self) -> bool:
        """Whether the candidate was begun with often enough."""
        return self.under_way and self.attempts >= MAX_ATTEMPTS

    def _bad_with(self, *names: str) -> tuple[str, ...]:
        return (*self.bad, *(name for name in names if name and name not in self.bad))[-_MOST_BAD:]

    def _need_candidate(self) -> None:
        if not self.under_way:
            raise ValueError(f"no candidate in {self.phase}")


def encoded(state: UpdateState) -> bytes:
    """As it is kept."""
    return json.dumps(asdict(state)).encode()


def decoded(raw: bytes) -> UpdateState:
    """Read what :func:`encoded` wrote, in this release or another one. Raises :class:`ValueError`."""
    table = json.loads(raw)
    if not isinstance(table, dict) or table.get("phase") not in get_args(Phase):
        raise ValueError("no state of an update")
    state = _read(UpdateState, table)
    mark, cause = _read(Mark, table.get("mark", {})), table.get("cause")
    bad = tuple(str(one) for one in table.get("bad", ()))
    return replace(state, mark=mark, bad=bad, cause=None if cause is None else _read(Cause, cause))


def _read(kind: type[T], table: object) -> T:
    """The keys of ``table`` that ``kind`` knows. Raises :class:`ValueError`."""
    if not isinstance(table, Mapping):
        raise ValueError("no table")
    names = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    try:
        return cast(Callable[..., T], kind)(**{key: value for key, value in table.items() if key in names})
    except TypeError as error:
        raise ValueError("a key is missing") from error
