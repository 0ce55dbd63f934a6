"""Which parts move."""

from agent.app.liveness import Liveness


def test_a_part_is_still_once_it_has_not_moved_for_longer_than_its_limit() -> None:
    vitals = Liveness({"store": 10.0, "uplink": 20.0}, 100.0)
    assert vitals.stalled(110.0) == {}
    assert vitals.stalled(111.0) == {"store": 11.0}
    vitals.progressed("store", 105.0)
    assert vitals.stalled(115.0) == {}
    assert vitals.stalled(121.0) == {"store": 16.0, "uplink": 21.0}


def test_an_older_step_takes_nothing_back() -> None:
    vitals = Liveness({"store": 10.0}, 100.0)
    vitals.progressed("store", 150.0)
    vitals.progressed("store", 120.0)
    assert vitals.stalled(160.0) == {}
