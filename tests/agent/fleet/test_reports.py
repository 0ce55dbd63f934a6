"""What gateways report: read strictly, bounded, and one line each."""

import pytest

from agent.fleet.reports import Fleet, filters
from tests.agent.fleet.test_rollout import BASE, gateway, told


def test_a_gateway_that_moved_is_where_it_is_now() -> None:
    fleet = Fleet()
    fleet.on_message("a/v1/health/old/pos-1/state", b'{"v":1,"online":false,"t":9}')
    fleet.on_message("a/v1/health/new/pos-1/state", b'{"v":1,"online":true,"t":5}')
    assert (fleet.get("pos-1") or gateway()).base == "a/v1/health/new/pos-1"
    fleet.on_message("a/v1/health/new/pos-1/state", b"")
    assert (fleet.get("pos-1") or gateway()).base == "a/v1/health/old/pos-1"
    fleet.on_message("a/v1/health/old/pos-1/state", b"")
    assert (fleet.get("pos-1"), fleet.names()) == (None, [])


@pytest.mark.parametrize("payload", [b"x", b"[]", b'{"v":2}', b'{"v":1,"version":"9","running":[],"drift":{},"t":1e9}'])
def test_what_a_stranger_writes_is_no_report_or_an_empty_one(payload: bytes) -> None:
    fleet = Fleet()
    fleet.on_message(f"{BASE}/state", b'{"v":1,"online":1,"t":true}')
    fleet.on_message(f"{BASE}/config/reported", payload)
    found = fleet.get("batua-01")
    assert found is not None
    assert (found.online, found.t, (found.report and found.report.version) or 0) == (False, 0, 0)


def test_a_cause_is_one_line_whatever_was_written() -> None:
    report = gateway(cause={"code": "sensor", "message": "a\x1b[2J\nb", "path": "sensor.a"}).report
    assert report is not None
    assert report.cause == "sensor: a?[2J?b (sensor.a)"


def test_every_gateway_is_subscribed_to_whatever_the_root() -> None:
    assert "+/+/v1/+/+/+/state" in filters("state")
    assert len(filters("state", "config/reported")) == 8


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2**53 + 1},
        {"version": -1},
        {"version": True},
        {"version": "9"},
        {"hash": "xyz"},
        {"hash": "a" * 66},
        {"state": "on fire"},
        {"running": None},
        {"running": {"version": 1}},
        {"drift": {}},
        {"trust_version": None},
        {"v": 2},
        {"cause": {"code": "\ud800", "message": "", "path": ""}},
        {"drift": ["x" * 70_000]},
    ],
)
def test_a_report_that_is_not_of_the_contract_is_named_and_not_there(changes: dict[str, object]) -> None:
    fleet = Fleet()
    fleet.on_message(f"{BASE}/state", b'{"v":1,"online":true,"t":1}')
    fleet.on_message(f"{BASE}/config/reported", told(**changes))
    found = fleet.get("batua-01")
    assert found is not None
    assert found.report is None
    (line,) = fleet.unreadable.values()
    assert line.startswith("batua-01: cannot read its config/reported: ")
    fleet.on_message(f"{BASE}/config/reported", told())
    assert (fleet.unreadable, found.report is not None) == ({}, True)


def test_texts_are_bounded_and_visible() -> None:
    report = gateway(drift=["\u202e" + "x" * 150] * 110, t=2**60).report
    assert report is not None
    assert (len(report.drift), len(report.drift[0]), report.drift[0][:2], report.t) == (100, 100, "?x", 0)


def test_what_has_no_name_of_a_gateway_is_none() -> None:
    fleet = Fleet()
    for name in ("=cmd", "UPPER", "x" * 33, "a\u202e"):
        fleet.on_message(f"makassar/v1/health/batua/{name}/state", b'{"v":1,"online":true}')
        fleet.on_message(f"makassar/v1/health/{name}/batua-01/state", b'{"v":1,"online":true}')
    assert fleet.names() == []
