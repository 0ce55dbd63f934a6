"""Whether a configuration on trial is to be kept. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from agent.base.codes import Rejection
from agent.base.i18n import _
from agent.config.generation import Cause

Verdict = Literal["wait", "confirm"] | Cause

_RESTART_S = 60.0
"""What is left of the time, at least, after the agent was stopped and started again: sensors need some to begin."""
_CONTACT_S = 30.0
_MAX_SESSIONS = 3
"""A broker that was connected for so long, or so often, has had the time to acknowledge something."""


@dataclass(frozen=True, slots=True)
class Observation:
    """How a running gateway is: ids of sensors that have ``proven`` to work since they started, and of those that are
    ``lost``; the broker as its uplink sees it: ``sessions`` that it took, whether it ``acknowledged`` telemetry of this
    uplink, and ``echoed`` the gateway's own state."""

    proven: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    online: bool = False
    sessions: int = 0
    acknowledged: bool = False
    echoed: bool = False


@dataclass(slots=True)
class BrokerContact:
    """What is known of the broker since the configuration runs. ``sessions``: how many began; ``connected_s``: how long
    they lasted together, as far as it was looked; ``acknowledged``: whether it has acknowledged telemetry."""

    sessions: int = 0
    connected_s: float = 0.0
    acknowledged: bool = False
    _looked_s: float | None = field(default=None)

    def look(self, now_s: float, *, online: bool, sessions: int, acknowledged: bool) -> None:
        """Note how it is at ``now_s``."""
        if online and self._looked_s is not None:
            self.connected_s += now_s - self._looked_s
        self._looked_s = now_s if online else None
        self.sessions = max(self.sessions, sessions)
        self.acknowledged = self.acknowledged or acknowledged


@dataclass(frozen=True, slots=True)
class Probation:
    """``watched``: the changed sensors that must work (required ones that were not failing before). ``broker_changed``:
    whether anything of the way to the broker is another one. ``spent_s``: how long it was tried before this start."""

    confirm_s: float
    watched: frozenset[str]
    broker_changed: bool
    spent_s: float = 0.0

    @property
    def deadline_s(self) -> float:
        """How long this run may try it."""
        return max(self.confirm_s - self.spent_s, min(self.confirm_s, _RESTART_S))

    def judge(self, passed_s: float, proven: Collection[str], contact: BrokerContact) -> Verdict:
        """What to do ``passed_s`` after the configuration began to run (in this run of the agent).

        Where the way to the broker is the same, a broker that cannot be reached only makes it wait: the old
        configuration would do no better. One that takes the connection and acknowledges nothing is another matter.
        """
        failing = sorted(self.watched - set(proven))
        if not failing and contact.acknowledged:
            return "confirm"
        if passed_s < self.deadline_s:
            return "wait"
        if failing:
            names = ", ".join(failing)
            return Cause(
                Rejection.SENSOR, _("no good reading from {names}").format(names=names), f"sensor.{failing[0]}"
            )
        if self.broker_changed:
            return Cause(Rejection.BROKER, _("no broker of the new settings acknowledged a reading"), "broker")
        if contact.sessions >= _MAX_SESSIONS or contact.connected_s >= min(self.confirm_s / 2, _CONTACT_S):
            return Cause(Rejection.BROKER, _("the broker accepts the connection but acknowledges no reading"), "broker")
        return "wait"
