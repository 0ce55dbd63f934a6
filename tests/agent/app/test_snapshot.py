"""The snapshot: what its parts say of themselves, at one moment."""

from dataclasses import dataclass
from typing import Any

import pytest

from agent import __version__
from agent.app.snapshot import configuration_status, snapshot
from agent.base.reading import Stamp
from agent.base.status import (
    CertificateStatus,
    ClockStatus,
    ConfigurationStatus,
    SensorStatus,
    Status,
    StreamStatus,
)
from agent.store.stream_account import StreamAccount

WELL = SensorStatus(lost=False, why="", frames=1, rejected=0, restarts=0, last_good_s=0.0)
REPORTED = {"version": 5, "state": "applied", "running": {"version": 4, "hash": "x"}}

ROLLED_BACK = {**REPORTED, "state": "rolled_back", "cause": {"code": "connection", "message": "no connection"}}


class Sensor:
    def status(self) -> SensorStatus:
        return WELL


@dataclass
class Uplink:
    online: bool
    sessions: int


class Store:
    durable = True

    def __init__(self) -> None:
        account = StreamAccount([(1, "aaaaaaaa")])
        account.next = 7
        account.settled.add(1, 4)
        self.accounts = {"telemetry/a": account}

    def unsettled(self) -> int:
        return 3


def taken(**more: Any) -> Status:
    parts: dict[str, Any] = {
        "sensors": {"a": Sensor()},
        "uplink": Uplink(online=True, sessions=2),
        "store": Store(),
        "configuration": ConfigurationStatus(),
        "certificate": CertificateStatus(5, 6),
        "now": Stamp(1000, 20, 2),
    }
    return snapshot(**{**parts, **more})


def test_each_part_is_asked() -> None:
    status = taken()
    assert status.sensors == {"a": WELL}
    assert (status.delivery.online, status.delivery.sessions) == (True, 2)
    assert (status.store.unsettled, status.store.durable) == (3, True)
    assert status.store.streams == {"telemetry/a": StreamStatus(7, 4)}
    assert (status.certificate, status.clock) == (CertificateStatus(5, 6), ClockStatus(1000, 2))


def test_the_process_says_what_it_used() -> None:
    process = taken().process
    assert process.release == __version__
    assert process.cpu_s > 0
    assert 1 << 20 < process.memory_peak_bytes < 1 << 40


def test_before_there_is_an_uplink_the_gateway_is_offline() -> None:
    delivery = taken(uplink=None).delivery
    assert (delivery.online, delivery.sessions) == (False, 0)


@pytest.mark.parametrize(
    ("reported", "configuration"),
    [
        ({}, ConfigurationStatus(0, "", 0)),
        (REPORTED, ConfigurationStatus(5, "applied", 4)),
        ({"version": None, "state": "confirmed", "running": None}, ConfigurationStatus(0, "confirmed", 0)),
        (ROLLED_BACK, ConfigurationStatus(5, "rolled_back", 4, "", "no connection")),
        ({**ROLLED_BACK, "state": "rejected"}, ConfigurationStatus(5, "rejected", 4)),
    ],
)
def test_the_configuration_is_what_was_reported(reported: dict[str, Any], configuration: ConfigurationStatus) -> None:
    assert configuration_status(reported, "") == configuration
    assert configuration_status(reported, "a: wrong").rejected_edit == "a: wrong"
    assert taken(configuration=configuration).configuration is configuration


def test_safe_mode_ends_with_the_first_sensor() -> None:
    assert taken(sensors={}, safe_mode=True).process.safe_mode
    assert not taken(safe_mode=True).process.safe_mode
    assert not taken(sensors={}).process.safe_mode
