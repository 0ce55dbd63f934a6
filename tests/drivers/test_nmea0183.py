import pytest

from drivers.nmea0183 import DRIVER
from drivers.sdk.contract import Item, Measurement, Rejected
from drivers.sim.nmea import encode_rmc, sentence


def read(*lines: bytes) -> list[Item]:
    decoder = DRIVER.decoder({})
    return [item for line in lines for item in decoder.feed(line, 0)] + decoder.finish(0)


def only(line: bytes) -> Measurement:
    (item,) = read(line)
    assert isinstance(item, Measurement)
    return item


def test_a_position_is_in_degrees_with_south_and_west_below_zero() -> None:
    found = only(sentence("GNGGA,010203.00,0508.862,S,11925.962,W,1,08,0.9,12.5,M,,M,,"))

    assert found.values["lat"] == pytest.approx(-5.1477)
    assert found.values["lon"] == pytest.approx(-119.4327)
    assert found.q == {}


def test_speed_is_in_metres_a_second() -> None:
    found = only(sentence("GPRMC,010203,A,0508.862,S,11925.962,E,36.0,084.4,241126,,,A"))

    assert found.values["speed"] == pytest.approx(18.52)
    assert found.values["course"] == 84.4


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("GPGGA,010203.00,,,,,0,00,99.99,,M,,M,,", {"lat", "lon", "alt"}),
        ("GPGGA,010203.00,0508.862,S,11925.962,E,0,03,9.9,12.5,M,,M,,", {"lat", "lon", "alt"}),
        ("GPRMC,010203,V,0508.862,S,11925.962,E,36.0,084.4,241126,,,N", {"lat", "lon", "speed", "course"}),
        ("GPRMC,010203,A,0508.862,S,11925.962,E,36.0,084.4,241126,,,N", {"lat", "lon", "speed", "course"}),
        ("GPVTG,,T,,M,,N,,K,N", {"speed", "course"}),
        ("GPVTG,084.4,T,,M,5.0,N,9.3,K,N", {"speed", "course"}),
    ],
)
def test_without_a_fix_nothing_is_given_as_good(body: str, fields: set[str]) -> None:
    found = only(sentence(body))

    assert {name for name, value in found.values.items() if value is None} == fields
    assert found.q == dict.fromkeys(fields, "bad:nofix")


def test_a_dead_reckoned_position_is_doubted() -> None:
    found = only(sentence("GPGGA,010203.00,0508.862,S,11925.962,E,6,03,9.9,12.5,M,,M,,"))

    assert found.q == dict.fromkeys(("lat", "lon", "alt"), "uncertain:nofix")
    assert found.values["lat"] == pytest.approx(-5.1477)


def test_a_fix_without_its_position_is_no_position() -> None:
    found = only(sentence("GPGGA,010203.00,,,,,1,08,0.9,12.5,M,,M,,"))

    assert found.q == {"lat": "bad:nofix", "lon": "bad:nofix"}


def test_a_wrong_checksum_and_a_missing_one_are_told_apart() -> None:
    good = sentence("GPVTG,084.4,T,,M,5.0,N,9.3,K,A")
    wrong = good.replace(b"084.4", b"184.4")
    bare = good[: good.index(b"*")] + b"\r\n"

    assert read(wrong, bare, good)[:2] == [Rejected("checksum"), Rejected("format")]


@pytest.mark.parametrize(
    "line",
    [
        b"hello\r\n",
        b"$PUBX,00*33\r\n",
        sentence("GPGSV,3,1,11,03,03,111,00"),
        b"!AIVDM,1*00\r\n",
        b"$GPTXT,boot\r\n",
    ],
)
def test_other_sentences_and_other_lines_say_nothing(line: bytes) -> None:
    assert read(line) == []


@pytest.mark.parametrize(
    "body",
    [
        "GPGGA,010203.00,05x8.862,S,11925.962,E,1,08,0.9,12.5,M,,M,,",
        "GPGGA,010203.00,0560.000,S,11925.962,E,1,08,0.9,12.5,M,,M,,",
        "GPGGA,010203.00,0508.862,X,11925.962,E,1,08,0.9,12.5,M,,M,,",
        "GPGGA,010203.00,0508.862,S,11925.962,E,1,-8,0.9,12.5,M,,M,,",
        "GPGGA,010203.00,0508.862,S,11925.962,E,1,08,nan,12.5,M,,M,,",
    ],
)
def test_words_that_are_no_numbers_make_a_wrong_format(body: str) -> None:
    assert read(sentence(body)) == [Rejected("format")]


def test_a_sentence_behind_half_of_another_is_read() -> None:
    good = encode_rmc({})

    assert read(b"$GPGGA,0102" + good) == read(good)


def test_a_short_sentence_with_a_right_checksum_does_no_harm() -> None:
    assert only(sentence("GPRMC,")).q == dict.fromkeys(("lat", "lon", "speed", "course"), "bad:nofix")
