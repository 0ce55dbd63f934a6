import math
from pathlib import Path

import pytest

from drivers.sdk.contract import Measurement, Rejected
from drivers.system import DRIVER

ANSWER = b"temp=48312\nload=0.52 0.41 0.30 2/90 1234\nuptime=3600.25 7000.10\nmem=2048 kB\ndisk=1000000\nclock=2\nend\n"


def test_one_answer_of_the_reader_is_one_measurement() -> None:
    (found,) = DRIVER.decoder({}).feed(ANSWER, 0)

    assert found == Measurement(
        {
            "cpu_temp": 48.312,
            "load": 0.52,
            "uptime": 3600.25,
            "mem_free": 2097152,
            "disk_free": 1000000,
            "clock": 2,
        }
    )


def test_nothing_of_one_answer_stays_for_the_next() -> None:
    decoder = DRIVER.decoder({})
    decoder.feed(ANSWER, 0)

    assert decoder.feed(b"clock=1\nend\n", 1) == [Measurement({"clock": 1})]


@pytest.mark.parametrize(
    ("bits", "now", "since_boot"),
    [
        ("0x0", (False, False), (False, False)),
        ("0x50000", (False, False), (True, True)),
        ("0x4", (False, True), (False, False)),
    ],
)
def test_the_power_bits_are_told_apart(bits: str, now: tuple[bool, bool], since_boot: tuple[bool, bool]) -> None:
    (found,) = DRIVER.decoder({}).feed(f"throttled={bits}\nend\n".encode(), 0)

    assert isinstance(found, Measurement)
    assert (found.values["undervoltage"], found.values["throttled"]) == now
    assert (found.values["undervoltage_since_boot"], found.values["throttled_since_boot"]) == since_boot


@pytest.mark.parametrize("line", [b"temp=hot", b"load=", b"throttled=0xZZ", b"disk=-"])
def test_a_line_that_cannot_be_read_is_rejected(line: bytes) -> None:
    assert DRIVER.decoder({}).feed(line + b"\n", 0) == [Rejected("format")]


def test_this_computer_says_something_of_itself(tmp_path: Path) -> None:
    reader = DRIVER.reader({"path": str(tmp_path)})
    (found,) = DRIVER.decoder({}).feed(reader.read(), 0)
    reader.close()
    reader.close()

    assert isinstance(found, Measurement)
    assert set(found.values) <= set(DRIVER.fields)
    assert {"load", "uptime", "mem_free", "disk_free"} <= set(found.values)
    assert all(isinstance(value, (int, float)) and math.isfinite(value) for value in found.values.values())


def test_a_disk_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    (found,) = DRIVER.decoder({}).feed(DRIVER.reader({"path": str(tmp_path / "gone")}).read(), 0)

    assert isinstance(found, Measurement)
    assert "disk_free" not in found.values
