"""A configuration on trial: what is watched, and what was observed so far."""

from dataclasses import dataclass, field

from agent.config.diff import diff
from agent.config.resolve import ResolvedConfig
from agent.update.probation import BrokerContact, Observation, Probation, Verdict


@dataclass(slots=True)
class Trial:
    """A configuration that runs but is not confirmed. ``echo``: whether the broker must echo the gateway's own
    ``state``, as it did before: on MQTT 3.1.1 a broker also acknowledges messages that its ACL denies."""

    probation: Probation
    began_s: float
    echo: bool = False
    contact: BrokerContact = field(default_factory=BrokerContact)

    def judge(self, seen: Observation, now_s: float) -> Verdict:
        """Decide from the condition of the sensors and the broker at ``now_s``."""
        acknowledged = seen.acknowledged and (seen.echoed or not self.echo)
        self.contact.observe(now_s, online=seen.online, sessions=seen.sessions, acknowledged=acknowledged)
        return self.probation.judge(now_s - self.began_s, seen.proven, self.contact)


def begin_trial(
    resolved: ResolvedConfig,
    good: ResolvedConfig | None,
    now_s: float,
    confirm_s: float,
    spent_s: float = 0.0,
    before: Observation | None = None,
) -> Trial:
    """Start a trial that watches what differs from ``good``. ``confirm_s``: used if the document has none;
    ``spent_s``: time on trial before this start; ``before``: the gateway's condition before the change, since sensors
    that already failed are not the candidate's fault."""
    before = before or Observation()
    changes = diff(good, resolved)
    required = {sensor.id for sensor in resolved.settings.sensor if sensor.required}
    confirm_s = resolved.document.confirm_s if resolved.document else confirm_s
    probation = Probation(confirm_s, (changes.started & required) - before.lost, changes.way, spent_s)
    return Trial(probation, now_s, before.echoed)
