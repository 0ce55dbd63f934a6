import pytest

from drivers.ld2410 import DRIVER
from drivers.sdk.contract import Item, Measurement, Rejected

BASIC = bytes.fromhex("F4 F3 F2 F1 0D 00 02 AA 02 51 00 00 00 00 3B 00 00 55 00 F8 F7 F6 F5")
ACKNOWLEDGED = bytes.fromhex("FD FC FB FA 08 00 FF 01 00 00 01 00 40 00 04 03 02 01")


def items(raw: bytes) -> list[Item]:
    decoder = DRIVER.decoder({})
    return [*decoder.feed(raw, 0), *decoder.finish(0)]


def test_bytes_that_a_later_type_appends_do_not_matter() -> None:
    longer = BASIC[:4] + b"\x0f\x00" + BASIC[6:17] + b"\x64\x01" + BASIC[17:]

    assert items(longer) == items(BASIC)
    assert isinstance(items(BASIC)[0], Measurement)


def test_answers_to_commands_between_reports_say_nothing() -> None:
    assert len(items(BASIC + ACKNOWLEDGED + BASIC)) == 2


@pytest.mark.parametrize(
    ("at", "byte"), [(6, 3), (7, 0xAB), (8, 4), (10, 0xFF), (11, 101), (17, 0x54), (18, 1), (22, 0)]
)
def test_what_no_radar_says_is_refused(at: int, byte: int) -> None:
    broken = bytearray(BASIC)
    broken[at] = byte

    assert items(bytes(broken)) == [Rejected("format")]
