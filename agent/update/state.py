"""Where a gateway stands with its configuration: one value, and the steps from one to the next. Pure.

``none -> staged -> applying -> probation -> confirmed | rolled_back``. Each step is one durable write
(:mod:`agent.update.io.update_dir`); after a power cut the agent goes on from the last one.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Literal, cast, get_args

from agent.config.generation import Cause
from agent.update.signed.version_mark import Mark, from_table

Phase = Literal["none", "staged", "applying", "probation", "confirmed", "rolled_back"]
_MOST_BAD = 32
MAX_ATTEMPTS = 3
"""How often a candidate is begun with: a cut of power may be the candidate's fault."""


@dataclass(frozen=True, slots=True)
class UpdateState:
    """``good``, ``before``, ``candidate``: names of generations, empty where there is none; ``before`` is the one
    that was good before. ``trying``: hash of the candidate's payload, empty where it has none. ``attempts``: how often
    the candidate was begun with. ``processed``: SHA-256 of the message that was accepted last. ``bad``: hashes of
    payloads and names of generations that were rolled back. ``cause``: why the last one was.
    ``spent_s``: how long earlier runs that were stopped in good order have tried the candidate.
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
    spent_s: float = 0.0

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
            self,
            phase="staged",
            candidate=generation,
            trying=trying,
            attempts=0,
            spent_s=0.0,
            cause=None,
            processed=message or self.processed,
            mark=mark or self.mark,
            unproven=trying if unproven else self.unproven,
        )

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
            self,
            phase="confirmed",
            good=self.candidate,
            before=self.good,
            candidate="",
            trying="",
            attempts=0,
        )

    def rolled_back(self, cause: Cause) -> "UpdateState":
        """The candidate is bad, and never taken again."""
        self._need_candidate()
        return replace(
            self,
            phase="rolled_back",
            candidate="",
            trying="",
            attempts=0,
            cause=cause,
            bad=self._bad_with(self.candidate, self.trying),
        )

    def withdrawn(self, payload: str, cause: Cause) -> "UpdateState":
        """The good one, with the payload of this hash, never should have been taken: the one before it is good."""
        return replace(
            self,
            phase="rolled_back",
            good=self.before,
            before="",
            candidate="",
            trying="",
            attempts=0,
            cause=cause,
            bad=self._bad_with(self.good, payload),
        )

    def stood_in(self, generation: str) -> "UpdateState":
        """What runs because there is no good one to go back to."""
        return replace(self, good=generation, before="")

    def proven(self) -> "UpdateState":
        """The clock is set, and what was accepted before has not expired."""
        return replace(self, unproven="")

    def set_down(self, spent_s: float = 0.0) -> "UpdateState":
        """The agent is stopped in good order: that a candidate was under way does not count against it, but the time
        for which it was tried does."""
        if not self.under_way:
            return self
        return replace(self, phase="staged", attempts=max(0, self.attempts - 1), spent_s=self.spent_s + spent_s)

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
    """Read what :func:`encoded` wrote, in this release or another one. Raises :class:`ValueError` where a value is not
    of its type."""
    try:
        table = json.loads(raw)
    except RecursionError as error:
        raise ValueError("no state of an update") from error
    if not isinstance(table, dict) or table.get("phase") not in get_args(Phase):
        raise ValueError("no state of an update")
    usual = UpdateState()
    plain = {
        item.name: _typed(table.get(item.name, getattr(usual, item.name)), getattr(usual, item.name))
        for item in fields(UpdateState)
        if item.name not in ("mark", "bad", "cause")
    }
    bad = table.get("bad", [])
    if not isinstance(bad, list) or not all(isinstance(name, str) for name in bad):
        raise ValueError("no list of names")
    mark, cause = from_table(table.get("mark", {})), _cause(table.get("cause"))
    return cast(Callable[..., UpdateState], UpdateState)(**plain, mark=mark, bad=tuple(bad), cause=cause)


def _cause(table: object) -> Cause | None:
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise ValueError("no cause")
    code, message, path = table.get("code"), table.get("message"), table.get("path", "")
    if not isinstance(code, str) or not isinstance(message, str) or not isinstance(path, str):
        raise ValueError("no cause")
    return Cause(code, message, path)


def _typed(value: object, usual: object) -> object:
    """The value, which is of the same type as the usual one."""
    right = int | float if isinstance(usual, float) else type(usual)
    if not isinstance(value, right) or (isinstance(value, bool) and not isinstance(usual, bool)):
        raise ValueError("a value of another type")
    return value
