"""bench/corruption.py with a few frames; the bench itself sends a million."""

import pytest

from agent.config.io.catalog import Catalog
from bench.corruption import CHECK_BITS, run

FRAMES = 400


@pytest.mark.parametrize("name", CHECK_BITS)
def test_corrupted_frames_give_no_more_wrong_values_than_the_check_lets_through(name: str) -> None:
    result = run(name, FRAMES)

    assert result.judged > FRAMES / 4
    assert result.wrong <= result.bound(CHECK_BITS[name])


def test_without_a_check_the_count_finds_wrong_values() -> None:
    result = run("ld2410", FRAMES)

    assert result.wrong > result.bound(8)


def test_every_protocol_without_a_check_is_known_to_have_none() -> None:
    unchecked = {"barcode", "bme280", "cas_scale", "ld2410", "ld2450", "ops243", "system", "dual_beam"}
    gpio = {"gpio_in", "gpio_out", "gpio_counter", "rain_gauge"}
    generic = {"serial_frame", "serial_line", "modbus_rtu", "modbus_tcp"}

    assert set(Catalog().names()) - set(CHECK_BITS) == unchecked | gpio | generic
