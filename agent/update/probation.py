"""Decides whether to keep a configuration on trial. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from agent.base.codes import Rejection
from agent.base.i18n import _
from agent.config.generation import Cause

Verdict = Literal["wait", "confirm"] | Cause

_RESTART_S = 60.0
"""Minimum time left after a restart of the agent: sensors need some time to start."""
_CONTACT_S = 30.0
_MAX_SESSIONS = 3
"""A broker that was connected this long, or this often, had enough time to acknowledge something."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The condition of a running gateway. ``proven``: ids of sensors that have worked since they started; ``lost``: ids
    of sensors that fail now. As the uplink sees the broker: number of ``sessions``, whether the broker ``acknowledged``
    telemetry of this uplink, and whether it ``echoed`` the gateway's own ``state``."""

    proven: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    online: bool = False
    sessions: int = 0
    acknowledged: bool = False
    echoed: bool = False


@dataclass(slots=True)
class BrokerContact:
    """Contact with the broker since the configuration started. ``sessions``: number of sessions; ``connected_s``: their
    total time, as far as it was observed; ``acknowledged``: whether the broker has acknowledged telemetry."""

    sessions: int = 0
    connected_s: float = 0.0
    acknowledged: bool = False
    _observed_s: float | None = field(default=None)

    def observe(self, now_s: float, *, online: bool, sessions: int, acknowledged: bool) -> None:
        """Record the state of the connection at ``now_s``."""
        if online and self._observed_s is not None:
            self.connected_s += now_s - self._observed_s
        self._observed_s = now_s if online else None
        self.sessions = max(self.sessions, sessions)
        self.acknowledged = self.acknowledged or acknowledged


@dataclass(frozen=True, slots=True)
class Probation:
    """The rules of one trial. ``watched``: changed sensors that must work (required, and not failing before);
    ``broker_changed``: whether the connection settings changed; ``spent_s``: time on trial before this start."""

    confirm_s: float
    watched: frozenset[str]
    broker_changed: bool
    spent_s: float = 0.0

    @property
    def deadline_s(self) -> float:
        """How long this run of the agent may try the configuration."""
        return max(self.confirm_s - self.spent_s, min(self.confirm_s, _RESTART_S))

    def judge(self, passed_s: float, proven: Collection[str], contact: BrokerContact) -> Verdict:
        """Decide what to do ``passed_s`` after the configuration started (in this run of the agent).

        If the connection settings are unchanged, an unreachable broker only makes the trial wait: the old configuration
        would not reach it either. A broker that accepts the connection but acknowledges nothing fails the trial.
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
            return Cause(Rejection.BROKER, _("no broker acknowledged a reading under the new settings"), "broker")
        if contact.sessions >= _MAX_SESSIONS or contact.connected_s >= min(self.confirm_s / 2, _CONTACT_S):
            return Cause(Rejection.BROKER, _("the broker accepts the connection but acknowledges no reading"), "broker")
        return "wait"
