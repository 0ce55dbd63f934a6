"""The state machine of a configuration update: one value, and its transitions. Pure.

``none -> staged -> applying -> probation -> confirmed | rolled_back``. Each transition is one durable write
(:mod:`agent.update.io.update_dir`); after a power cut the agent continues from the last one.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Literal, cast, get_args

from agent.config.generation import Cause
from agent.update.signed.version_mark import Mark, from_table

Phase = Literal["none", "staged", "applying", "probation", "confirmed", "rolled_back"]
_MAX_BAD = 32
MAX_ATTEMPTS = 3
"""How often a candidate is started: a power cut may be the candidate's fault."""


@dataclass(frozen=True, slots=True)
class UpdateState:
    """The state of updates.

    ``good``, ``before``, ``candidate``: names of generations, empty if there is none; ``before`` is the previous good
    one. ``trying``: hash of the candidate's payload, empty if it has none. ``attempts``: how often the candidate was
    started. ``processed``: SHA-256 of the last accepted message. ``bad``: hashes of payloads and names of generations
    that were rolled back. ``cause``: why the last one was rolled back. ``spent_s``: time on trial in earlier runs that
    stopped cleanly. ``origin``: fingerprint of the oldest root in the trust file that the technician installed.
    ``unproven``: hash of the payload that was accepted while the clock was unset, and that may have expired.
    """

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
        """Whether there is a candidate that is neither confirmed nor rolled back."""
        return self.phase in ("staged", "applying", "probation")

    def adopted(self, generation: str) -> "UpdateState":
        """Adopt a configuration as good without a trial."""
        return replace(self, phase="confirmed", good=generation, candidate="", trying="", attempts=0, cause=None)

    def staged(
        self, generation: str, trying: str = "", message: str = "", mark: Mark | None = None, *, unproven: bool = False
    ) -> "UpdateState":
        """Stage a candidate. It replaces one that is still under way: the newest wins."""
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
        """Start the candidate: after it was staged, or again after a restart."""
        self._need_candidate()
        return replace(self, phase="applying", attempts=self.attempts + 1)

    def in_probation(self) -> "UpdateState":
        """Record that the candidate runs."""
        self._need_candidate()
        return replace(self, phase="probation")

    def confirmed(self) -> "UpdateState":
        """Make the candidate the good configuration."""
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
        """Mark the candidate as bad; it is never accepted again."""
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
        """Withdraw the good configuration, whose payload has this hash; the one before it becomes good."""
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

    def with_fallback(self, generation: str) -> "UpdateState":
        """Make a fallback the good configuration, because there is none to roll back to."""
        return replace(self, good=generation, before="")

    def expiry_checked(self) -> "UpdateState":
        """Record that the clock is set and the unproven configuration has not expired."""
        return replace(self, unproven="")

    def suspend(self, spent_s: float = 0.0) -> "UpdateState":
        """Suspend the trial for a clean stop of the agent. The attempt does not count, but the time on trial does."""
        if not self.under_way:
            return self
        return replace(self, phase="staged", attempts=max(0, self.attempts - 1), spent_s=self.spent_s + spent_s)

    @property
    def attempts_exhausted(self) -> bool:
        """Whether the candidate was started too often."""
        return self.under_way and self.attempts >= MAX_ATTEMPTS

    def _bad_with(self, *names: str) -> tuple[str, ...]:
        return (*self.bad, *(name for name in names if name and name not in self.bad))[-_MAX_BAD:]

    def _need_candidate(self) -> None:
        if not self.under_way:
            raise ValueError(f"no candidate in {self.phase}")


def encode(state: UpdateState) -> bytes:
    """Return the bytes to store."""
    return json.dumps(asdict(state)).encode()


def decode(raw: bytes) -> UpdateState:
    """Parse the bytes of :func:`encode`, written by any release. Raises :class:`ValueError` if a value has the wrong
    type."""
    try:
        table = json.loads(raw)
    except RecursionError as error:
        raise ValueError("not an update state") from error
    if not isinstance(table, dict) or table.get("phase") not in get_args(Phase):
        raise ValueError("not an update state")
    default = UpdateState()
    plain = {
        item.name: _typed(table.get(item.name, getattr(default, item.name)), getattr(default, item.name))
        for item in fields(UpdateState)
        if item.name not in ("mark", "bad", "cause")
    }
    bad = table.get("bad", [])
    if not isinstance(bad, list) or not all(isinstance(name, str) for name in bad):
        raise ValueError("not a list of names")
    mark, cause = from_table(table.get("mark", {})), _cause(table.get("cause"))
    return cast(Callable[..., UpdateState], UpdateState)(**plain, mark=mark, bad=tuple(bad), cause=cause)


def _cause(table: object) -> Cause | None:
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise ValueError("not a cause")
    code, message, path = table.get("code"), table.get("message"), table.get("path", "")
    if not isinstance(code, str) or not isinstance(message, str) or not isinstance(path, str):
        raise ValueError("not a cause")
    return Cause(code, message, path)


def _typed(value: object, default: object) -> object:
    """Return the value if it has the type of the default. Raises :class:`ValueError`."""
    expected = int | float if isinstance(default, float) else type(default)
    if not isinstance(value, expected) or (isinstance(value, bool) and not isinstance(default, bool)):
        raise ValueError("a value of the wrong type")
    return value
