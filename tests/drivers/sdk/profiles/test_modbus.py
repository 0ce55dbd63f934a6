import struct

import pytest

from drivers.sdk.bus import ModbusDriver, ModbusRead
from drivers.sdk.contract import Item, LineSettings, Measurement, Value
from drivers.sdk.modbus import answer
from drivers.sdk.profiles.profile import ProfileError, load_profile, parse_profile
from drivers.sim.encode import encode

HEAD = 'name = "probe"\ntitle = "A probe"\nsource = "its manual"\nkind = "modbus"\n'


def profile(reads: str, fields: str, top: str = "") -> bytes:
    return f"{HEAD}{top}\nreads = [{reads}]\n[fields]\n{fields}\n".encode()


def values(raw: bytes, *contents: bytes) -> dict[str, Value]:
    driver = load_profile(raw, "probe.toml")
    assert isinstance(driver, ModbusDriver)
    decoder = driver.decoder({})
    items: list[Item] = []
    for read, content in zip(driver.reads, contents, strict=True):
        items += decoder.feed(answer(9, read, content), 0)
    (item,) = items + decoder.finish(0)
    assert isinstance(item, Measurement)
    return dict(item.values)


ONE = "{ function = 3, address = 100, count = 4 }"


@pytest.mark.parametrize(
    ("field", "content", "value"),
    [
        ('type = "u16"', "FF FE 00 00 00 00 00 00", 65534),
        ('type = "s16"', "FF FE 00 00 00 00 00 00", -2),
        ('type = "u32"', "00 01 00 02 00 00 00 00", 0x00010002),
        ('type = "u32", word_order = "low"', "00 01 00 02 00 00 00 00", 0x00020001),
        ('type = "u32", byte_order = "low"', "01 00 02 00 00 00 00 00", 0x00010002),
        ('type = "u32", word_order = "low", byte_order = "low"', "04 03 02 01 00 00 00 00", 0x01020304),
        ('type = "s32"', "FF FF FF FE 00 00 00 00", -2),
        ('type = "u64", word_order = "low"', "00 04 00 03 00 02 00 01", 0x0001000200030004),
        ('type = "f32"', "43 66 33 34 00 00 00 00", struct.unpack(">f", bytes.fromhex("43663334"))[0]),
        (
            'type = "f32", word_order = "low"',
            "33 34 43 66 00 00 00 00",
            struct.unpack(">f", bytes.fromhex("43663334"))[0],
        ),
        ('type = "u16", scale = 0.1, offset = -40', "01 F4 00 00 00 00 00 00", 10.0),
        ('type = "u16", map = { 1 = "on", 0 = "off" }, kind = "text"', "00 01 00 00 00 00 00 00", "on"),
    ],
)
def test_registers_become_a_value(field: str, content: str, value: Value) -> None:
    raw = profile(ONE, f"x = {{ register = 100, {field} }}")

    assert values(raw, bytes.fromhex(content)) == {"x": value}


def test_fields_find_the_block_that_holds_them() -> None:
    reads = (
        "{ function = 4, address = 0, count = 2 }, { function = 3, address = 0, count = 2 }, { address = 8, count = 1 }"
    )
    fields = 'a = { register = 1 }\nb = { register = 0, function = 3, type = "u32" }\nc = { register = 8 }'

    found = values(profile(reads, fields), bytes.fromhex("00010002"), bytes.fromhex("00030004"), bytes.fromhex("0005"))

    assert found == {"a": 2, "b": 0x00030004, "c": 5}


def test_a_block_may_be_one_that_not_every_device_has() -> None:
    reads = "{ address = 0, count = 2 }, { address = 8, count = 1, optional = true }"
    driver = load_profile(profile(reads, "a = { register = 1 }\nb = { register = 8 }"), "probe.toml")

    assert isinstance(driver, ModbusDriver)
    assert [read.optional for read in driver.reads] == [False, True]


def test_coils_are_bits() -> None:
    raw = profile("{ function = 1, address = 10, count = 10 }", 'x = { register = 19, type = "bit", kind = "state" }')

    assert values(raw, b"\x00\x02") == {"x": 1}
    assert values(raw, b"\xff\x01") == {"x": 0}


def test_a_driver_has_what_the_agent_must_know() -> None:
    top = 'unit = 7\ntimeout_s = 0.3\nrequest_gap_s = 0.05\nline = { baud = 2400, parity = "E" }'
    driver = load_profile(profile(ONE, "x = { register = 103, scale = 0.1 }", top), "probe.toml")

    assert isinstance(driver, ModbusDriver)
    assert driver.reads == (ModbusRead(3, 100, 4),)
    assert (driver.unit, driver.timeout_s, driver.request_gap_s, driver.tcp) == (7, 0.3, 0.05, False)
    assert driver.line == LineSettings(2400, "E")
    assert driver.fields["x"].resolution == 0.1


@pytest.mark.parametrize(
    ("reads", "fields", "path", "part"),
    [
        (ONE, "x = { register = 104 }", "fields.x.register", "no block of reads covers register 104"),
        (ONE, 'x = { register = 103, type = "u32" }', "fields.x.register", "no block"),
        (ONE, 'x = { register = 100, type = "bit" }', "fields.x.register", "no block"),
        (ONE, 'x = { register = 100, type = "u8" }', "fields.x.type", 'one of "u16" or "s16"'),
        (ONE, 'x = { register = 100, word_order = "big" }', "fields.x.word_order", 'one of "high" or "low"'),
        (ONE, "x = { register = 100, scale = 0 }", "fields.x.scale", "other than 0"),
        ("", "x = { register = 100 }", "reads", "a list of tables with 1 to 32 entries"),
        ("{ address = 0, count = 126 }", "x = { register = 0 }", "reads[0].count", "from 1 to 125"),
        ("{ address = 0, function = 6 }", "x = { register = 0 }", "reads[0].function", "from 1 to 4"),
        ("{ address = 0, optional = 1 }", "x = { register = 0 }", "reads[0].optional", "true or false"),
        ("{ address = 0, len = 6 }", "x = { register = 0 }", "reads[0].len", "unknown key"),
        (", ".join(["{ address = 0 }"] * 33), "x = { register = 0 }", "reads", "with 1 to 32 entries"),
    ],
)
def test_a_problem_says_where_and_what_would_be_right(reads: str, fields: str, path: str, part: str) -> None:
    with pytest.raises(ProfileError) as caught:
        load_profile(profile(reads, fields), "probe.toml")

    found = {problem.path: str(problem) for problem in caught.value.problems}
    assert part in found[path]


def test_the_simulator_writes_words_in_the_order_of_the_profile() -> None:
    raw = profile(
        ONE, 'a = { register = 100, type = "u32" }\nb = { register = 102, type = "f32" }', 'word_order = "low"'
    )
    whole = parse_profile(raw, "probe.toml")

    assert encode(whole, {"a": 0x00010002, "b": 0.5})[3:-2] == bytes.fromhex("0002 0001 0000 3F00")
