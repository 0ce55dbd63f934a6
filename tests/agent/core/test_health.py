"""A sensor is lost once and back once."""

from agent.core.health import Health


def test_it_is_told_once_that_a_sensor_is_lost_and_once_that_it_is_back() -> None:
    health = Health("air-1", now_s=0.0)
    assert health.fail("port") == {"ev": "sensor_lost", "sev": "warn", "sensor": "air-1", "why": "port"}
    assert health.fail("port") is None
    assert health.silent() is None
    assert health.good(12.34) == {"ev": "sensor_recovered", "sev": "info", "sensor": "air-1", "away_s": 12.3}
    assert health.good(13.0) is None


def test_silence_among_refused_frames_is_told_by_their_reason() -> None:
    health = Health("air-1", 0.0)
    health.reject("checksum")
    assert health.silent()["why"] == "checksum"
    health.good(1.0)
    assert health.silent()["why"] == "timeout", "what was refused before the last good frame is past"
    assert health.rejected == 1
