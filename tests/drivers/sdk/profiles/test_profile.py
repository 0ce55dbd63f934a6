import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drivers
from drivers.sdk.contract import Field, LineSettings, Measurement, Rejected, Value
from drivers.sdk.profiles.profile import ProfileError, load_profile

HEAD = 'name = "probe"\ntitle = "A probe"\nsource = "its manual"\n'
FRAME = HEAD + 'kind = "serial_frame"\n'
LINES = HEAD + 'kind = "serial_line"\n'
PLAIN = FRAME + (
    'frame = { sync = "AA", length = 4, check = { sum = "sum8", from = 0, to = 3, at = 3 } }\n'
    '[fields]\nlevel = { at = 1, type = "i16be", scale = 0.25, offset = -40, unit = "Cel" }\n'
)


def read(profile: str, raw: bytes, at_s: float = 0) -> list[object]:
    decoder = load_profile(profile.encode(), "probe.toml").decoder({})
    return [*decoder.feed(raw, at_s), *decoder.finish(at_s)]


def values(profile: str, raw: bytes) -> dict[str, Value]:
    (item,) = read(profile, raw)
    assert isinstance(item, Measurement)
    return dict(item.values)


def problems(profile: str) -> dict[str, str]:
    with pytest.raises(ProfileError) as caught:
        load_profile(profile.encode(), "probe.toml")
    assert str(caught.value).startswith("probe.toml:")
    return {problem.path: problem.located("probe.toml") for problem in caught.value.problems}


def test_scale_and_offset_make_the_value_and_the_scale_is_its_resolution() -> None:
    assert values(PLAIN, bytes.fromhex("AA 01 00 AB")) == {"level": 24.0}
    assert load_profile(PLAIN.encode(), "").fields == {"level": Field("Cel", resolution=0.25)}


def test_a_signed_field_may_be_negative() -> None:
    assert values(PLAIN, bytes.fromhex("AA FF FF A8")) == {"level": -40.25}


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("u8", "FE", 254),
        ("i8", "FE", -2),
        ("u16le", "01 02", 0x0201),
        ("u16be", "01 02", 0x0102),
        ("i32le", "FF FF FF FF", -1),
        ("u32be", "00 00 01 00", 256),
        ("f32be", "41 20 00 00", 10.0),
    ],
)
def test_a_field_has_the_type_that_it_names(kind: str, raw: str, value: float) -> None:
    size = 1 + len(bytes.fromhex(raw))
    profile = FRAME + f'frame = {{ sync = "AA", length = {size} }}\n[fields]\nx = {{ at = 1, type = "{kind}" }}\n'

    assert values(profile, bytes.fromhex("AA" + raw)) == {"x": value}


def test_a_map_gives_words_and_refuses_numbers_that_it_does_not_know() -> None:
    profile = FRAME + (
        'frame = { sync = "AA", length = 2 }\n'
        '[fields]\nstate = { at = 1, type = "u8", kind = "text", map = { 0 = "off", 1 = "on" } }\n'
    )

    assert values(profile, b"\xaa\x01") == {"state": "on"}
    assert read(profile, b"\xaa\x07") == [Rejected("format")]


def test_line_settings_request_and_setup_reach_the_driver() -> None:
    top = 'line = { baud = 2400, parity = "E" }\nrequest = "01 02"\ntimeout_s = 0.5\nsetup = ["03", "04 05"]\n'
    driver = load_profile((FRAME + top + PLAIN.removeprefix(FRAME)).encode(), "probe.toml")

    assert driver.line == LineSettings(2400, "E")
    assert driver.request == b"\x01\x02"
    assert driver.timeout_s == 0.5
    assert driver.setup == (b"\x03", b"\x04\x05")


RULED = PLAIN + (
    '[[rule]]\nquality = "bad:warmup"\nwhen = { level = -40 }\n'
    '[[rule]]\nquality = "uncertain:warmup"\nwhen = { level = [24, 25] }\nwithin_s = 60\n'
)


def test_a_bad_value_is_null_and_carries_its_reason() -> None:
    assert read(RULED, bytes.fromhex("AA 00 00 AA")) == [Measurement({"level": None}, {"level": "bad:warmup"})]


def test_a_rule_holds_only_so_long_after_the_link_was_opened() -> None:
    raw = bytes.fromhex("AA 01 00 AB")

    assert read(RULED, raw, at_s=60) == [Measurement({"level": 24.0}, {"level": "uncertain:warmup"})]
    assert read(RULED, raw, at_s=61) == [Measurement({"level": 24.0})]


JSON_LINES = LINES + (
    'lines = { format = "json", require = ["speed"] }\n'
    '[fields]\nspeed = { key = ["v", "velocity"], absolute = true, unit = "km/h" }\n'
    'way = { kind = "text", sign_of = ["v"], sign = { positive = "in", negative = "out" } }\n'
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"v": -3.5}', {"speed": 3.5, "way": "out"}),
        ('{"v": "4"}', {"speed": 4, "way": "in"}),
        ('{"velocity": [2.5, 1]}', {"speed": 2.5}),
        ('{"v": 0}', {"speed": 0}),
        ('noise {"v": 1}', {"speed": 1, "way": "in"}),
    ],
)
def test_a_json_line_gives_the_first_of_its_keys(line: str, expected: dict[str, Value]) -> None:
    assert values(JSON_LINES, line.encode()) == expected


@pytest.mark.parametrize("line", ['{"mode": "fast"}', "hello", "[1]", '{"v": []}'])
def test_a_line_without_the_required_field_is_no_candidate(line: str) -> None:
    assert read(JSON_LINES, line.encode()) == []


@pytest.mark.parametrize("line", ['{"v": 1', '{"v": "1_0"}', '{"v": true}', '{"v": null}', "{" * 400, '{"v":[[1]]}'])
def test_a_candidate_that_cannot_be_read_is_rejected(line: str) -> None:
    assert read(JSON_LINES, line.encode()) == [Rejected("format")]


PATTERN = LINES + (
    '[lines]\nformat = "pattern"\npattern = \'W(?P<weight>[0-9.]+)(?P<unit>[a-z]+)\'\nrequire = ["weight"]\n'
    '[fields]\nweight = { unit = "kg", unit_group = "unit", units = { kg = 1, g = 0.001 } }\n'
)


def test_a_line_nested_too_deeply_is_rejected() -> None:
    profile = JSON_LINES.replace("require", "max_length = 4096, require")

    assert read(profile, b'{"v":' + b"[" * 4000) == [Rejected("format")]


def test_a_unit_in_the_line_is_turned_into_the_field_s_unit() -> None:
    assert values(PATTERN, b"W1500g") == {"weight": 1.5}
    assert read(PATTERN, b"W1500stone") == [Rejected("format")]


def test_without_a_candidate_rule_other_lines_are_the_device_s_own_talk() -> None:
    assert read(PATTERN, b"hello\nW3kg and more\nW2kg") == [Measurement({"weight": 2.0})]


def test_every_problem_is_named_with_its_path() -> None:
    found = problems(
        'name = "probe"\ntitle = 3\nsource = "x"\nkind = "serial_frame"\ncolour = "red"\n'
        'frame = { sync = "AX", length = 4, check = { sum = "sum9", at = 9 } }\n'
        '[fields]\nT = { at = 1, type = "u8" }\nx = { at = 3, type = "u17", unit = "celsius" }\n'
        'y = { at = 3, type = "u16le", min = 2, max = 1 }\n'
        '[[rule]]\nquality = "bad:mood"\nwhen = { z = 1 }\n'
    )

    assert set(found) == {
        "title",
        "colour",
        "frame.sync",
        "frame.check.sum",
        "fields.T",
        "fields.x.type",
        "fields.x.unit",
        "fields.y.min",
        "rule[0].quality",
        "rule[0].when.z",
    }
    assert found["title"] == "probe.toml:2: title: 3 has the wrong type (a string in quotes)"
    assert '"u17" is not one of "u8" or "i8"' in found["fields.x.type"]


@pytest.mark.parametrize(
    ("profile", "path", "part"),
    [
        (HEAD, "kind", "missing"),
        (HEAD + 'kind = "telepathy"', "kind", '"serial_frame" or "serial_line" or "modbus" or "modbus_tcp" or "i2c"'),
        (FRAME, "frame.sync", "missing"),
        (FRAME + 'frame = { sync = "AA", length = 0 }\n[fields]\n', "frame.length", "an integer from 1 to 1024"),
        (LINES + 'lines = { format = "pattern" }\n[fields]\n', "lines.pattern", "missing"),
        (
            LINES + 'lines = { format = "pattern", pattern = "(" }\n[fields]\n',
            "lines.pattern",
            "RE2 cannot use",
        ),
        (
            LINES + 'lines = { format = "pattern", pattern = "x" }\n[fields]\na = {}\n',
            "lines.pattern",
            "no group a",
        ),
        (
            LINES + 'lines = { format = "json", require = ["b"] }\n[fields]\na = {}\n',
            "lines.require",
            "does not exist",
        ),
        (PLAIN + "[page]\nabout = 1\n", "page.about", "a string in quotes"),
        (PLAIN + '[[example]]\nhex = "A"\nsource = "x"\n', "example[0].hex", "hexadecimal, as in"),
        (PLAIN + "[sim.values]\nother = 1\n", "sim.values.other", "does not exist"),
        ("name = \n", "", "line 1"),
        (PLAIN.replace("type", "typo"), "fields.level.typo", "unknown key"),
        (PLAIN.replace("0.25", "nan"), "fields.level.scale", "not a finite number"),
        (FRAME + "period_s = 0\n" + PLAIN.removeprefix(FRAME), "period_s", "greater than 0"),
        (FRAME + "line = { baud = 7 }\n" + PLAIN.removeprefix(FRAME), "line.baud", "from 50 to"),
    ],
)
def test_a_problem_says_where_and_what_would_be_right(profile: str, path: str, part: str) -> None:
    assert part in problems(profile)[path]


def test_bytes_that_are_no_text_are_no_profile() -> None:
    with pytest.raises(ProfileError, match="is not UTF-8"):
        load_profile(b"\xff\xfe", "probe.toml")


SHIPPED = [file.read_text() for file in sorted((Path(drivers.__file__).parent / "profiles").glob("*.toml"))]
NONSENSE = [
    "0",
    "-1",
    "70000",
    "1e999",
    "nan",
    "-inf",
    "true",
    '""',
    '"x"',
    '"{"',
    "[]",
    "[1]",
    "{}",
    "1979-05-27",
]


@given(content=st.data())
@settings(max_examples=300)
def test_a_mistake_anywhere_in_a_profile_is_a_profile_error_and_nothing_else(content: st.DataObject) -> None:
    profile = content.draw(st.sampled_from(SHIPPED))
    values = list(re.finditer(r'(?<== )("[^"\n]*"|[0-9.]+|true|false)', profile))
    place = content.draw(st.sampled_from(values))
    broken = profile[: place.start()] + content.draw(st.sampled_from(NONSENSE)) + profile[place.end() :]
    try:
        driver = load_profile(broken.encode(), "broken.toml")
    except ProfileError:
        return
    decoder = driver.decoder({})
    decoder.feed(bytes(range(256)) + b"\xaa\xc0{}\n\xff" * 20, 0)
    decoder.finish(0)
