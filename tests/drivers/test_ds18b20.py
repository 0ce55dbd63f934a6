import pytest

from drivers.ds18b20 import DRIVER, decode
from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import Item, Measurement, Rejected
from drivers.sdk.framing import FrameError


def text(scratchpad: str, verdict: str = "YES", t: int | None = None) -> str:
    raw = int.from_bytes(bytes.fromhex(scratchpad)[:2], "little", signed=True)
    return f"{scratchpad} : crc={scratchpad[-2:]} {verdict}\n{scratchpad} t={raw * 1000 // 16 if t is None else t}\n"


def sealed(eight: str) -> str:
    return f"{eight} {CHECKSUMS['crc8_dallas'].compute(bytes.fromhex(eight)):02x}"


def items(content: str) -> list[Item]:
    decoder = DRIVER.decoder({})
    return [*decoder.feed(content.encode(), 0), *decoder.finish(0)]


def test_a_temperature_below_zero() -> None:
    assert items(text(sealed("f8 ff 4b 46 7f ff 08 10"))) == [Measurement({"temp": -0.5})]


def test_the_power_on_value_is_no_temperature_but_a_measured_85_is() -> None:
    assert items(text(sealed("50 05 4b 46 7f ff 0c 10"))) == [Measurement({"temp": None}, {"temp": "bad:power"})]
    assert items(text(sealed("50 05 4b 46 7f ff 10 10"))) == [Measurement({"temp": 85.0})]


def test_a_failed_conversion_is_no_temperature() -> None:
    assert items(text(sealed("ff 07 4b 46 7f ff 01 10"))) == [Measurement({"temp": None}, {"temp": "bad:device"})]


def test_nine_zeros_pass_the_crc_and_are_refused() -> None:
    assert items(text("00 00 00 00 00 00 00 00 00")) == [Rejected("format")]


def test_the_crc_is_checked_whatever_the_kernel_says() -> None:
    with pytest.raises(FrameError, match="crc"):
        decode(bytes.fromhex("97 01 4b 46 7f ff 0c 10 a0"))


def test_a_wrong_crc_without_a_second_line_is_told() -> None:
    assert items("96 01 4b 46 7f ff 0c 10 a0 : crc=ff NO\n") == [Rejected("crc")]


@pytest.mark.parametrize(
    "content", ["96 01 4b 46 7f ff 0c 10 a0 : crc=a0 YES\n", text(sealed("96 01 4b 46 7f ff 0c 10"), t=2537)]
)
def test_an_answer_cut_short_is_refused(content: str) -> None:
    assert items(content) == [Rejected("format")]


def test_two_lines_that_do_not_agree_are_refused() -> None:
    one, other = text(sealed("96 01 4b 46 7f ff 0c 10")), text(sealed("97 01 4b 46 7f ff 0c 10"))

    assert items(one.splitlines()[0] + "\n" + other.splitlines()[1]) == [Rejected("format")]
