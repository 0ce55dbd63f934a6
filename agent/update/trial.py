"""A configuration on trial: what is watched, and what is known of it so far."""

from dataclasses import dataclass, field

from agent.config.diff import diff
from agent.config.resolve import ResolvedConfig
from agent.update.probation import BrokerContact, Observation, Probation, Verdict


@dataclass(slots=True)
class Trial:
    """A configuration that runs and is not kept yet. ``echo``: whether the broker must send the gateway's own ``state``
    back to it, as it did before: on MQTT 3.1.1 it acknowledges also what it denies."""

    probation: Probation
    began_s: float
    echo: bool = False
    contact: BrokerContact = field(default_factory=BrokerContact)

    def judge(self, seen: Observation, now_s: float) -> Verdict:
        """Decide by how sensors and broker are at ``now_s``."""
        acknowledged = seen.acknowledged and (seen.echoed or not self.echo)
        self.contact.look(now_s, online=seen.online, sessions=seen.sessions, acknowledged=acknowledged)
        return self.probation.judge(now_s - self.began_s, seen.proven, self.contact)


def trial(
    resolved: ResolvedConfig,
    good: ResolvedConfig | None,
    now_s: float,
    confirm_s: float,
    spent_s: float = 0.0,
    before: Observation | None = None,
) -> Trial:
    """Watch what restarts in comparison with the good one. ``confirm_s``: where no document says so; ``spent_s``: how
    long it was tried before this start; ``before``: how the gateway was, whose failing sensors are not the candidate's
    fault."""
    before = before or Observation()
    changes = diff(good, resolved)
    required = {sensor.id for sensor in resolved.settings.sensor if sensor.required}
    confirm_s = resolved.document.confirm_s if resolved.document else confirm_s
    probation = Probation(confirm_s, (changes.started & required) - before.lost, changes.way, spent_s)
    return Trial(probation, now_s, before.echoed)
