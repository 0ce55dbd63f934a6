"""Whether a configuration on trial is to be kept. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from agent.core.text import say
from agent.core.update_state import Cause

Verdict = Literal["wait", "confirm", "ask_brokers"] | Cause


@dataclass(frozen=True, slots=True)
class Probation:
    """``watched``: the changed sensors that must work (required ones that were not failing before). ``broker_changed``:
    whether the way to the broker is another one."""

    confirm_s: float
    watched: frozenset[str]
    broker_changed: bool

    def judge(self, passed_s: float, proven: Collection[str], acknowledged: bool) -> Verdict:
        """What to do ``passed_s`` after the configuration began to run. A broker that is away only makes it wait,
        unless the way to it was changed: then the old way is to be tried as well."""
        failing = sorted(self.watched - set(proven))
        if not failing and acknowledged:
            return "confirm"
        if passed_s < self.confirm_s:
            return "wait"
        if failing:
            names = ", ".join(failing)
            return Cause("sensor", say("{names} gave no good reading", names=names), f"sensor.{failing[0]}")
        return "ask_brokers" if self.broker_changed else "wait"


def judge_brokers(old_answers: bool, new_answers: bool) -> Verdict:
    """The change is bad only if the old broker takes the gateway and the new one does not."""
    if old_answers and not new_answers:
        return Cause("broker", say("the new broker does not take this gateway, the old one does"), "broker")
    return "wait"
