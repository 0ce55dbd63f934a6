"""A sensor is lost once and back once."""

from agent.sensing.health import NO_FRAME, Health


def test_it_is_told_once_that_a_sensor_is_lost_and_once_that_it_is_back() -> None:
    health = Health("air-1", now_s=0.0)
    assert health.record_failure("port") == {"ev": "sensor_lost", "sev": "warn", "sensor": "air-1", "why": "port"}
    assert health.record_failure("port") is None
    assert health.record_silence() is None
    assert health.record_good(12.34) == {"ev": "sensor_recovered", "sev": "info", "sensor": "air-1", "away_s": 12.3}
    assert health.record_good(13.0) is None


def test_silence_among_refused_frames_is_told_by_their_reason() -> None:
    health = Health("air-1", 0.0)
    health.record_rejected("checksum")
    assert health.record_silence()["why"] == "checksum"
    health.record_good(1.0)
    assert health.record_silence()["why"] == "timeout", "what was refused before the last good frame is past"
    assert health.rejected == 1


def test_a_sensor_that_was_just_started_is_not_lost_and_has_counted_nothing() -> None:
    health = Health("air-1", 100.0)
    assert (health.lost, health.frames, health.rejected, health.restarts) == (False, 0, 0, 0)
    assert health.last_good_s() == 100.0
    health.record_failure("port")
    recovered = health.record_good(107.5)
    assert recovered is not None
    assert recovered["away_s"] == 7.5
    assert health.last_good_s() == 107.5


def test_bytes_without_a_frame_are_told_from_silence_until_something_good_comes() -> None:
    health = Health("air-1", 0.0)
    assert health.reason() == "timeout"
    health.record_data()
    assert health.reason() == NO_FRAME
    health.record_good(1.0)
    assert health.reason() == "timeout"
