import pytest

from drivers.sdk.bus import I2cDriver
from drivers.sdk.contract import Measurement, Rejected
from drivers.sdk.profiles.profile import ProfileError, load_profile
from drivers.sim.i2c import CommandChip, SimulatedI2c, simulated_chip
from drivers.sim.models import shipped_profile

PLAIN = (
    'name = "probe"\ntitle = "A probe"\nsource = "its manual"\nkind = "i2c"\naddress = 0x40\naddresses = [0x40, 0x41]\n'
    'start = [{ write = "01", wait_ms = 20 }]\nmeasure = { write = "02", wait_ms = 5 }\n'
    'ready = { write = "03", count = 1, mask = 0x80 }\n'
    "frame = { length = 2 }\n[fields]\n"
    'x = { at = 0, type = "u16be", scale = 3, divisor = 2, clip = true, min = 0, max = 9 }\n'
)


def probe() -> I2cDriver:
    driver = load_profile(PLAIN.encode(), "probe.toml")
    assert isinstance(driver, I2cDriver)
    return driver


class Sequel:
    """Says one thing after the other, and the last one for ever."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)

    def __call__(self) -> bytes:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def test_a_device_is_set_up_asked_whether_it_is_ready_and_read() -> None:
    chip = CommandChip({b"\x01": Sequel(b""), b"\x02": Sequel(b"\x00\x04"), b"\x03": Sequel(b"\x7f", b"\x80")})
    bus = SimulatedI2c({0x41: chip})
    device = probe().open(bus, 0x41, {})
    device.start()

    assert device.read() == b""
    assert device.read() == b"\x00\x04"
    assert chip.written == [b"\x01", b"\x03", b"\x03", b"\x02"]
    assert bus.paused_s == pytest.approx(0.025)


def test_a_device_that_is_away_is_an_oserror() -> None:
    with pytest.raises(OSError, match="Remote I/O"):
        probe().open(SimulatedI2c({}), 0x40, {}).start()


@pytest.mark.parametrize(("raw", "value"), [("00 04", 6.0), ("00 FF", 9), ("00 00", 0.0)])
def test_a_value_is_scaled_divided_and_cropped(raw: str, value: float) -> None:
    assert probe().decoder({}).feed(bytes.fromhex(raw), 0) == [Measurement({"x": value})]


def test_what_is_left_of_an_answer_belongs_to_none() -> None:
    decoder = probe().decoder({})

    assert decoder.feed(b"\x00", 0) == decoder.finish(0) == []
    assert decoder.skipped == 1
    assert decoder.feed(b"\x00\x02", 0) == [Measurement({"x": 3.0})]


@pytest.mark.parametrize("name", ["sht3x", "sht4x", "scd4x", "scd30"])
def test_a_shipped_chip_says_what_it_was_given(name: str) -> None:
    driver = shipped_profile(name).driver
    assert isinstance(driver, I2cDriver)
    bus = SimulatedI2c({driver.address: simulated_chip(name, {"temp": 21.25})})
    device = driver.open(bus, driver.address, {})
    device.start()
    (item,) = driver.decoder({}).feed(device.read(), 0)

    assert isinstance(item, Measurement)
    assert item.values["temp"] == pytest.approx(21.25, abs=0.01)


def test_a_broken_word_is_refused_and_a_broken_readiness_is_not_ready() -> None:
    driver = shipped_profile("scd4x").driver
    assert isinstance(driver, I2cDriver)
    assert driver.decoder({}).feed(bytes.fromhex("01 F4 33 66 67 A2 5E B9 3D"), 0) == [Rejected("crc")]

    unsure = CommandChip({b"\xe4\xb8": lambda: bytes.fromhex("07 FF 00")})
    assert driver.open(SimulatedI2c({0x62: unsure}), 0x62, {}).read() == b""


@pytest.mark.parametrize(
    ("old", "new", "path", "part"),
    [
        ("length = 2", "length = 1", "frame.length", "does not fit"),
        ("length = 2", 'length = 4, word_check = "crc8_sensirion"', "frame.word_check", "divisible by 3"),
        ("0x40\na", "0x90\na", "address", "from 3 to 119"),
        ("wait_ms = 20", "wait_ms = 2000", "start[0].wait_ms", "from 0 to 1000"),
        ("wait_ms = 20", "wait = 20", "start[0].wait", "unknown key"),
        ('"03"', '"3"', "ready.write", "hexadecimal, as in"),
        ("divisor = 2", "divisor = 0", "fields.x.divisor", "greater than 0"),
    ],
)
def test_a_problem_says_where_and_what_would_be_right(old: str, new: str, path: str, part: str) -> None:
    with pytest.raises(ProfileError) as caught:
        load_profile(PLAIN.replace(old, new, 1).encode(), "probe.toml")

    found = {problem.path: str(problem) for problem in caught.value.problems}
    assert part in found[path]
