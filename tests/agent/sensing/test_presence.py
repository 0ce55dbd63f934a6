from agent.sensing.presence import PresenceTracker
from drivers.sdk.contract import Measurement, Presence


def read(uid: str) -> Measurement:
    return Measurement({"targets": 1, "uid": uid})


NOTHING = Measurement({"targets": 0})


def tracker() -> PresenceTracker:
    return PresenceTracker(Presence(("uid",), gone_s=1.0))


def gone(uid: str) -> Measurement:
    return Measurement({"uid": uid}, event="gone")


def seen(uid: str) -> Measurement:
    return Measurement({"targets": 1, "uid": uid}, event="seen")


def test_while_a_card_stays_nothing_more_is_said() -> None:
    one = tracker()

    assert one.feed(read("aa"), 0) == [seen("aa")]
    assert one.feed(read("aa"), 0.5) == []
    assert one.due_s == 1.5


def test_a_reader_that_misses_a_card_once_does_not_lose_it() -> None:
    one = tracker()
    one.feed(read("aa"), 0)

    assert one.feed(NOTHING, 0.5) == []
    assert one.feed(read("aa"), 0.9) == []
    assert one.feed(NOTHING, 1.8) == []
    assert one.feed(NOTHING, 1.9) == [gone("aa")]
    assert one.due_s is None
    assert one.feed(NOTHING, 9) == []


def test_another_card_sends_the_first_one_away_at_once() -> None:
    one = tracker()
    one.feed(read("aa"), 0)

    assert one.feed(read("bb"), 0.1) == [gone("aa"), seen("bb")]


def test_the_same_card_after_a_while_comes_anew() -> None:
    one = tracker()
    one.feed(read("aa"), 0)

    assert one.feed(read("aa"), 5) == [gone("aa"), seen("aa")]


def test_a_number_that_could_not_be_read_is_nobody() -> None:
    assert tracker().feed(Measurement({"uid": None}, {"uid": "bad:device"}), 0) == []
