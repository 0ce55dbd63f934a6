"""When a configuration on trial is kept, and when it is taken back."""

import pytest

from agent.config.generation import Cause
from agent.update.probation import BrokerContact, Probation

SAME = Probation(300.0, frozenset({"air-1"}), broker_changed=False)
OTHER = Probation(300.0, frozenset({"air-1"}), broker_changed=True)


def _code(probation: Probation, passed_s: float, proven: set[str], contact: BrokerContact) -> str:
    verdict = probation.judge(passed_s, proven, contact)
    return verdict.code if isinstance(verdict, Cause) else verdict


@pytest.mark.parametrize("probation", [SAME, OTHER])
def test_it_is_kept_once_everything_works_and_not_before(probation: Probation) -> None:
    acknowledged = BrokerContact(acknowledged=True)
    assert _code(probation, 1, {"air-1"}, acknowledged) == "confirm"
    assert _code(probation, 299, {"air-1"}, BrokerContact(9, 290)) == "wait"
    assert _code(probation, 299, set(), acknowledged) == "wait"
    assert _code(probation, 300, set(), acknowledged) == "sensor"


@pytest.mark.parametrize(
    ("contact", "code"),
    [
        (BrokerContact(), "wait"),
        (BrokerContact(2, 29), "wait"),
        (BrokerContact(1, 30), "broker"),
        (BrokerContact(3, 0), "broker"),
    ],
)
def test_only_a_broker_that_is_away_makes_it_wait(contact: BrokerContact, code: str) -> None:
    for passed_s in (300, 1e9):
        assert _code(SAME, passed_s, {"air-1"}, contact) == code
        assert _code(OTHER, passed_s, {"air-1"}, contact) == "broker"


def test_the_time_of_a_connection_counts_and_that_between_does_not() -> None:
    contact = BrokerContact()
    for now_s, online in ((0, False), (10, True), (12, True), (14, False), (100, False), (200, True), (203, True)):
        contact.observe(now_s, online=online, sessions=2, acknowledged=False)
    assert (contact.connected_s, contact.sessions, contact.acknowledged) == (5, 2, False)
    contact.observe(204, online=False, sessions=0, acknowledged=True)
    contact.observe(205, online=False, sessions=0, acknowledged=False)
    assert (contact.sessions, contact.acknowledged) == (2, True)


@pytest.mark.parametrize(
    ("confirm_s", "spent_s", "left_s"), [(300, 0, 300), (300, 200, 100), (300, 9e9, 60), (5, 4, 5)]
)
def test_what_was_spent_before_a_stop_counts_but_sensors_have_time_to_begin(
    confirm_s: float, spent_s: float, left_s: float
) -> None:
    assert Probation(confirm_s, frozenset(), broker_changed=True, spent_s=spent_s).deadline_s == left_s
