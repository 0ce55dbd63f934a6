from agent.sensing.presence import PresenceTracker
from drivers.rdm6300 import DRIVER
from drivers.sdk.contract import Item, Measurement, Rejected
from drivers.sim.models import model

TAG = bytes.fromhex("02 36 37 30 30 33 42 35 31 43 36 43 42 03")
READ = Measurement({"tag": 3887558, "version": 103})


def items(raw: bytes) -> list[Item]:
    decoder = DRIVER.decoder({})
    return [*decoder.feed(raw, 0), *decoder.finish(0)]


def test_the_number_has_32_bits_and_the_version_8() -> None:
    highest = model("rdm6300").encode({"tag": 2**32 - 1, "version": 255})

    assert items(highest) == [Measurement({"tag": 2**32 - 1, "version": 255})]


def test_digits_in_small_letters_are_not_this_reader_s() -> None:
    assert items(TAG.replace(b"B", b"b")) == [Rejected("format")]


def test_a_tag_is_seen_once_and_gone_300_ms_after_it_was_read_last() -> None:
    assert DRIVER.presence is not None
    tracker = PresenceTracker(DRIVER.presence)
    events = [event for number in range(10) for event in tracker.feed(READ, number * 0.065)]
    assert events == [Measurement(READ.values, event="seen")]

    assert tracker.tick(9 * 0.065 + 0.299) == []
    assert tracker.tick(9 * 0.065 + 0.301) == [Measurement(READ.values, event="gone")]
