"""What may leave the gateway of cards and people."""

import hashlib
import hmac

import pytest

from agent.sensing.pipeline import Pipeline, PipelineSettings
from agent.sensing.privacy import PrivacyFilter, pseudonym, published_fields
from drivers.sdk.contract import Field, Measurement, Presence

KEY = bytes(range(32))
FIELDS = {
    "tag": Field(kind="gauge", identifier=True),
    "targets": Field("count", min=0),
    "x1": Field("mm", personal=True),
}
CARD = 3887558


def seen(**values: object) -> Measurement:
    return Measurement(values, dict.fromkeys(values, "uncertain:motion"), "seen")  # type: ignore[arg-type]


def test_an_identifier_leaves_as_a_keyed_hash_of_sixteen_digits() -> None:
    kept = PrivacyFilter(FIELDS, "hmac", KEY, personal=False).apply(seen(tag=CARD, targets=1))
    expected = hmac.new(KEY, b"3887558", hashlib.sha256).hexdigest()[:16]
    assert kept.values == {"tag": expected, "targets": 1}
    assert (kept.event, kept.q) == ("seen", {"tag": "uncertain:motion", "targets": "uncertain:motion"})
    assert pseudonym(bytes(32), CARD) != expected, "another site's key gives another hash"


def test_a_bad_identifier_stays_bad() -> None:
    assert PrivacyFilter(FIELDS, "hmac", KEY, False).apply(Measurement({"tag": None}, {"tag": "bad:crc"})).values == {
        "tag": None
    }


def test_none_drops_identifiers_and_plain_lets_them_through() -> None:
    assert PrivacyFilter(FIELDS, "none", KEY, False).apply(seen(tag=CARD, targets=1)).values == {"targets": 1}
    assert PrivacyFilter(FIELDS, "plain", KEY, False).apply(seen(tag=CARD, targets=1)).values == {
        "tag": CARD,
        "targets": 1,
    }


@pytest.mark.parametrize(("personal", "kept"), [(False, {"targets": 2}), (True, {"targets": 2, "x1": -782})])
def test_tracks_leave_only_where_the_sensor_may_tell_them(personal: bool, kept: dict[str, int]) -> None:
    one = PrivacyFilter(FIELDS, "hmac", KEY, personal).apply(
        Measurement({"targets": 2, "x1": -782}, {"x1": "uncertain:motion"})
    )
    assert dict(one.values) == kept
    assert ("x1" in one.q) == personal


def test_a_sensor_without_either_costs_nothing() -> None:
    one = PrivacyFilter({"temp": Field("Cel")}, "hmac", KEY, False)
    measurement = Measurement({"temp": 1.0})
    assert one.is_noop
    assert one.apply(measurement) is measurement


def test_meta_tells_the_fields_as_they_are_published() -> None:
    assert list(published_fields(FIELDS, "none", False)) == ["targets"]
    hashed = published_fields(FIELDS, "hmac", False)
    assert (hashed["tag"].kind, hashed["tag"].unit) == ("text", "")
    assert list(published_fields(FIELDS, "plain", True)) == ["tag", "targets", "x1"]
    assert published_fields(FIELDS, "plain", True)["tag"] == FIELDS["tag"]


def test_a_card_is_told_when_it_comes_and_when_it_goes_and_both_times_as_a_hash() -> None:
    steps = PipelineSettings(presence=Presence(("tag",), gone_s=0.3), privacy=PrivacyFilter(FIELDS, "hmac", KEY, False))
    pipeline = Pipeline(FIELDS, steps)
    events = [pipeline.feed(Measurement({"tag": CARD}), 0.065 * n) for n in range(5)]
    assert [len(one) for one in events] == [1, 0, 0, 0, 0]
    assert pipeline.due_s == pytest.approx(0.26 + 0.3)
    assert pipeline.tick(0.5) == []
    (gone,) = pipeline.tick(0.6)
    assert [events[0][0].event, gone.event] == ["seen", "gone"]
    assert events[0][0].values["tag"] == gone.values["tag"] == pseudonym(KEY, CARD)
    assert pipeline.due_s is None
