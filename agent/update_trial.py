"""A configuration on trial: what is watched, and what is known of it so far."""

import asyncio
from dataclasses import dataclass, field

from agent.core.config_diff import diff
from agent.core.config_resolve import ResolvedConfig
from agent.core.probation import Contact, Probation, Verdict
from agent.site import Site

_CONFIRM_S = 300.0


@dataclass(slots=True)
class Trial:
    """A configuration that runs and is not kept yet. ``echo``: whether the broker must send the gateway's own ``state``
    back to it, as it did before: on MQTT 3.1.1 it acknowledges also what it denies."""

    probation: Probation
    began_s: float
    echo: bool = False
    contact: Contact = field(default_factory=Contact)

    @property
    def passed_s(self) -> float:
        """How long it has run."""
        return asyncio.get_running_loop().time() - self.began_s

    def judge(self, site: Site) -> Verdict:
        """Look at the sensors and the broker."""
        uplink = site.uplink
        if uplink is not None:
            self.contact.look(
                asyncio.get_running_loop().time(), online=uplink.online, sessions=uplink.sessions,
                acknowledged=uplink.telemetry_acknowledged and (uplink.echoed or not self.echo),
            )  # fmt: skip
        proven = [name for name, one in site.sensors.items() if one.sensor.proven]
        return self.probation.judge(self.passed_s, proven, self.contact)


def trial(
    resolved: ResolvedConfig,
    good: ResolvedConfig | None,
    lost: frozenset[str] = frozenset(),
    spent_s: float = 0.0,
    *,
    echo: bool = False,
) -> Trial:
    """Watch the sensors that differ from those of the good one. ``lost``: those that were failing before, which is not
    the candidate's fault; ``spent_s``: how long it was tried before this start."""
    changes = diff(good, resolved)
    required = {one.id for one in resolved.settings.sensor if one.required}
    confirm_s = resolved.document.confirm_s if resolved.document else _CONFIRM_S
    probation = Probation(confirm_s, (changes.started & required) - lost, changes.way, spent_s)
    return Trial(probation, asyncio.get_running_loop().time(), echo)
