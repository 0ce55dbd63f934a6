"""What is said of the agent's status: the line for systemd, the reply to diagnostics, the agent's telemetry."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent.base.i18n import choose_language
from agent.base.status import (
    CertificateStatus,
    ClockStatus,
    ConfigurationStatus,
    DeliveryStatus,
    ProcessStatus,
    SensorStatus,
    Status,
    StoreStatus,
    StreamStatus,
)
from agent.base.status_views import AGENT_FIELDS, agent_telemetry, diagnostics, status_line

WELL = SensorStatus(lost=False, why="", frames=100, rejected=2, restarts=0, last_good_s=0.34)
LOST = SensorStatus(lost=True, why="port a is not there", frames=0, rejected=5, restarts=7, last_good_s=61.26)
STATUS = Status(
    sensors={"air-1": WELL, "door-1": LOST, "air-2": WELL},
    delivery=DeliveryStatus(online=True, sessions=1),
    store=StoreStatus(unsettled=12, durable=True, streams={"b": StreamStatus(9, 4), "a": StreamStatus(3, 3)}),
    configuration=ConfigurationStatus(),
    certificate=CertificateStatus(not_after_ms=1_795_000_000_000, remaining_s=3 * 86_400 - 1),
    clock=ClockStatus(t_ms=1_794_740_800_000, quality=2),
    process=ProcessStatus(release="1.2.3", cpu_s=1.23456, memory_peak_bytes=33_000_000, safe_mode=False),
)


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    choose_language({})
    yield
    choose_language({})


def test_the_line_counts_the_sensors_that_are_well() -> None:
    assert status_line(STATUS) == "2 of 3 sensors OK, connected, 12 readings to send"


def test_the_line_says_that_there_is_no_connection() -> None:
    offline = replace(STATUS, delivery=DeliveryStatus(online=False, sessions=1))
    assert status_line(offline) == "2 of 3 sensors OK, not connected, 12 readings to send"


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (ConfigurationStatus(3, "rejected", 3), ""),
        (
            ConfigurationStatus(0, "rejected", 0, "sensor.a: unknown key"),
            "; edited configuration rejected (sensor.a: unknown key), running the previous one",
        ),
        (
            ConfigurationStatus(4, "rolled_back", 3, "", "offline"),
            "; new configuration rolled back (offline), running version 3",
        ),
        (
            ConfigurationStatus(3, "confirmed", 3, "x" * 161),
            f"; edited configuration rejected ({'x' * 157}...), running version 3",
        ),
    ],
)
def test_the_line_says_which_configuration_runs_instead(configuration: ConfigurationStatus, expected: str) -> None:
    line = status_line(replace(STATUS, configuration=configuration))
    assert line == "2 of 3 sensors OK, connected, 12 readings to send" + expected


def test_the_line_says_that_the_agent_runs_without_sensors() -> None:
    safe = replace(STATUS, sensors={}, process=replace(STATUS.process, safe_mode=True))
    assert status_line(safe) == "safe mode: no sensors, connected"


def test_the_reply_to_diagnostics_has_the_keys_of_the_contract() -> None:
    assert diagnostics(STATUS) == {
        "agent": "1.2.3",
        "clock": 2,
        "certificate": {"not_after": 1_795_000_000_000, "days": 2},
        "unsettled": 12,
        "streams": {"a": {"next": 3, "lo": 3}, "b": {"next": 9, "lo": 4}},
        "sensors": {
            "air-1": {"lost": False, "why": "", "quiet_s": 0.3, "rejected": 2},
            "door-1": {"lost": True, "why": "port a is not there", "quiet_s": 61.3, "rejected": 5},
            "air-2": {"lost": False, "why": "", "quiet_s": 0.3, "rejected": 2},
        },
    }
    assert list(diagnostics(STATUS)["streams"]) == ["a", "b"]  # type: ignore[call-overload]


@pytest.mark.parametrize(("left_s", "days"), [(None, None), (0, 0), (-1, -1), (86_400, 1)])
def test_days_of_a_certificate_are_whole_and_negative_once_it_has_ended(left_s: int | None, days: int | None) -> None:
    certificate = CertificateStatus(None, left_s)
    reply = diagnostics(replace(STATUS, certificate=certificate))
    assert reply["certificate"] == {"not_after": None, "days": days}


def test_the_agent_s_telemetry_has_the_fields_that_are_described() -> None:
    assert agent_telemetry(STATUS) == {
        "backlog": 12,
        "sensors_ok": 2,
        "sensors_lost": 1,
        "rejected": 9,
        "cpu": 1.23,
        "memory_peak": 33_000_000,
        "cert_left": 3 * 86_400 - 1,
    }
    assert agent_telemetry(STATUS).keys() == AGENT_FIELDS.keys()


def test_a_certificate_without_a_known_end_is_left_out() -> None:
    telemetry = agent_telemetry(replace(STATUS, certificate=CertificateStatus()))
    assert telemetry.keys() == AGENT_FIELDS.keys() - {"cert_left"}
