"""The file as a whole: what it becomes, and what no file may do."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.parse import MAX_BYTES, parse, parse_tables
from agent.config.settings import Broker, Calibrate, Config, Gateway, Sensor
from drivers.sdk.tables.problem import MAX_PROBLEMS, Report
from tests.agent.config.config_fakes import MINIMAL, SENSOR, FakeCatalog, found, parsed


def test_a_minimal_file_takes_every_default() -> None:
    assert parsed(MINIMAL).config == Config(
        gateway=Gateway(id="batua-01", site="batua", sector="health"),
        broker=Broker(url="mqtts://broker.example:8883"),
    )
    assert parsed(MINIMAL).problems == ()


def test_a_sensor_has_its_own_keys_and_those_of_its_driver() -> None:
    sensor = SENSOR + "interval_s = 10\nangle_deg = 30\ncalibrate = { pm10 = { scale = 2 } }"
    config = parsed(MINIMAL, sensor).config
    assert config is not None
    assert config.sensor == (
        Sensor(
            id="air-1",
            driver="dust",
            port="/dev/ttyUSB0",
            interval_s=10.0,
            calibrate={"pm10": Calibrate(scale=2.0)},
            options={"angle_deg": 30.0, "mode": "fast", "inverted": False},
        ),
    )


def test_a_whole_number_is_taken_where_a_number_is_wanted() -> None:
    config = parsed(MINIMAL, SENSOR, "interval_s = 10").config
    assert config is not None
    assert isinstance(config.sensor[0].interval_s, float)


def test_several_brokers_keep_their_order() -> None:
    several = MINIMAL.replace('"mqtts://broker.example:8883"', '["mqtts://b.example", "mqtts://a.example"]')
    config = parsed(several).config
    assert config is not None
    assert config.broker.urls == ("mqtts://b.example", "mqtts://a.example")


def test_every_error_is_found_at_once() -> None:
    text = MINIMAL.replace('"health"', '"wealth"') + "keepalive_s = 1\nnonsense = 1\n[publish]\nmax_rows = 0"
    assert found(text, SENSOR.replace("dust", "dusk")) == [
        ("gateway.sector", "choice"),
        ("broker.nonsense", "unknown_key"),
        ("broker.keepalive_s", "range"),
        ("publish.max_rows", "range"),
        ("sensor.air-1.driver", "unknown_driver"),
    ]


def test_an_empty_file_lacks_what_must_be_there() -> None:
    assert found("") == [
        ("gateway.id", "missing"),
        ("gateway.site", "missing"),
        ("gateway.sector", "missing"),
        ("broker.url", "missing"),
    ]


def test_an_error_says_what_would_be_right() -> None:
    (problem,) = parsed(MINIMAL, "keepalive_s = 2").problems
    assert str(problem) == "broker.keepalive_s: 2 is out of range (an integer from 5 to 3600)"


def test_a_warning_says_that_it_is_one() -> None:
    (problem,) = parsed(MINIMAL, "[web]", 'listen = "127.0.0.1:8080"').problems
    assert str(problem) == "web.listen: warning: this key has no effect yet"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[gateway]\nid = "a"\nsite = = "b"\n', "line 3, column 8"),
        ('[gateway]\nid = "a', "line 2, column 8"),
        ("a = 1\na = 2\n", "line 2, column 6"),
    ],
)
def test_a_syntax_error_has_its_line_and_column(text: str, place: str) -> None:
    (problem,) = parsed(text).problems
    assert problem.code == "syntax"
    assert place in problem.message


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\xef\xbb\xbf" + MINIMAL.encode(), "encoding"),
        (MINIMAL.encode("utf-16"), "encoding"),
        (MINIMAL.encode() + b'name = "caf\xe9"', "encoding"),
        (b"#" * (MAX_BYTES + 1), "too_large"),
        (b"a = " + b"[" * 50_000, "syntax"),
        (b"a = " + b"9" * 5_000, "syntax"),
        (b"\x00" * 4096, "syntax"),
    ],
    ids=["bom", "utf-16", "latin-1", "large", "deep", "many-digits", "zeros"],
)
def test_bytes_that_are_no_file_give_one_error(raw: bytes, code: str) -> None:
    result = parse(raw, FakeCatalog())
    assert result.config is None
    assert [problem.code for problem in result.problems] == [code]


def test_a_byte_that_is_not_utf_8_is_found_by_its_line() -> None:
    (problem,) = parse(b"a = 1\nb = 2\nc = '\xff'\n", FakeCatalog()).problems
    assert "line 3" in problem.message


def test_a_file_full_of_errors_is_summed_up_in_bounded_time() -> None:
    text = "".join(f"nonsense-{number} = 1\n" for number in range(40_000))
    began = time.monotonic()
    problems = parsed(text).problems
    assert time.monotonic() - began < 5
    assert len(problems) == MAX_PROBLEMS + 1
    assert (problems[-1].code, problems[-1].level) == ("more", "error")


def test_a_hint_is_looked_for_only_while_problems_are_shown() -> None:
    report = Report()
    assert "driver" in report.near("drivr", ["driver"])
    for number in range(MAX_PROBLEMS):
        report.error(str(number), "unknown_key", "")
    assert report.near("drivr", ["driver"], "none") == "none"


def test_many_sensors_are_read_in_bounded_time() -> None:
    sensors = [f'[[sensor]]\nid = "s{number}"\ndriver = "host"\n' for number in range(5_000)]
    began = time.monotonic()
    config = parsed(MINIMAL, *sensors).config
    assert time.monotonic() - began < 10
    assert config is not None
    assert len(config.sensor) == 5_000


def test_a_password_in_a_url_is_not_repeated() -> None:
    for url in ("mqtt://city:geheim@broker", "http://city:geheim@broker", "mqtt://city:geheim@broker x"):
        text = MINIMAL.replace("mqtts://broker.example:8883", url)
        problems = parsed(text).problems
        assert problems
        assert not any("geheim" in str(problem) for problem in problems)


@given(st.binary(max_size=300))
def test_any_bytes_give_an_answer(raw: bytes) -> None:
    result = parse(raw, FakeCatalog())
    assert (result.config is None) == any(problem.level == "error" for problem in result.problems)


_KEYS = st.sampled_from(
    ["gateway", "broker", "sensor", "bus", "alarm", "publish", "id", "driver", "port", "url", "field", "site"]
) | st.sampled_from(["calibrate", "deadband", "above", "clear", "output", "line", "angle_deg", "x"])
_WORDS = st.sampled_from(["", "dust", "host", "torn", "air-1", "mqtt://[::1]:1", "mqtt://a:b@c", "a\nb", "\x00"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=200)
@given(st.dictionaries(_KEYS, _VALUES, max_size=6))
def test_any_tables_give_an_answer(tables: dict[str, object]) -> None:
    result = parse_tables(tables, FakeCatalog())
    assert (result.config is None) == any(problem.level == "error" for problem in result.problems)
    assert all("\n" not in str(problem) for problem in result.problems)
