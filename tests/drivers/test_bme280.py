import pytest

from drivers.bme280 import BME280, BMP280, DRIVER, Calibration, join
from drivers.sdk.bus import I2cDriver
from drivers.sdk.contract import Item, Measurement, Rejected
from drivers.sim.encoders import BME280_CALIBRATION, bme280_values
from drivers.sim.i2c import RegisterChip, SimulatedI2c, simulated_chip

ROOM = {"temp": 28.4, "rh": 71.0, "pressure": 1008.5}


def items(raw: bytes, times: int = 1) -> list[Item]:
    decoder = DRIVER.decoder({})
    return [item for _ in range(times) for item in (*decoder.feed(raw, 0), *decoder.finish(0))]


def measured(raw: bytes) -> Measurement:
    (item,) = items(raw)
    assert isinstance(item, Measurement)
    return item


def test_the_worked_example_of_the_data_sheet() -> None:
    calibration = Calibration.from_bytes(BME280_CALIBRATION, BME280)
    fine = calibration.fine(519888)

    assert fine == pytest.approx(128422, abs=1)
    assert fine / 5120 == pytest.approx(25.08, abs=0.005)
    assert calibration.pressure(415148, fine) == pytest.approx(100653.27, abs=0.01)


def test_the_humidity_coefficients_share_a_byte() -> None:
    raw = BME280_CALIBRATION[:26] + bytes.fromhex("72 01 05 13 29 FE E2")

    assert Calibration.from_bytes(raw, BME280).h == (75, 0x172, 5, 0x139, -30, -30)


def test_humidity_is_cropped_to_what_there_is() -> None:
    calibration = Calibration.from_bytes(BME280_CALIBRATION, BME280)

    assert calibration.humidity(0xFFFF, 128422) == 100
    assert calibration.humidity(0, 128422) == 0


def test_a_bmp280_sold_as_a_bme280_has_no_humidity_at_all() -> None:
    values = bme280_values(ROOM)
    for calibration in (BME280_CALIBRATION[:24], BME280_CALIBRATION[:26], BME280_CALIBRATION[:26] + bytes(7)):
        for channels in (values, values[:6]):
            found = measured(join((calibration, channels)))
            assert found.values.keys() == {"temp", "pressure"}
            assert found.q == {}


def test_a_skipped_channel_has_no_value() -> None:
    values = bme280_values(ROOM)
    dry = measured(join((BME280_CALIBRATION, values[:6] + b"\x80\x00")))
    assert (dry.values["rh"], dry.q) == (None, {"rh": "bad:unset"})

    light = measured(join((BME280_CALIBRATION, b"\x80\x00\x00" + values[3:])))
    assert (light.values["pressure"], light.q) == (None, {"pressure": "bad:unset"})

    cold = measured(join((BME280_CALIBRATION, values[:3] + b"\x80\x00\x00" + values[6:])))
    assert set(cold.values.values()) == {None}
    assert set(cold.q.values()) == {"bad:unset"}


def test_values_that_stand_still_are_doubted() -> None:
    raw = join((BME280_CALIBRATION, bme280_values(ROOM)))

    *before, last = items(raw, 60)

    assert all(isinstance(item, Measurement) and not item.q for item in before)
    assert isinstance(last, Measurement)
    assert set(last.q.values()) == {"uncertain:frozen"}
    assert last.values["temp"] == pytest.approx(28.4, abs=0.01)


@pytest.mark.parametrize("calibration", [bytes(33), b"\xff" * 33])
def test_coefficients_of_no_chip_are_refused(calibration: bytes) -> None:
    assert items(join((calibration, bme280_values(ROOM)))) == [Rejected("format")]


@pytest.mark.parametrize("parts", [(), (b"",), (bytes(33), bytes(7)), (bytes(31), bytes(8)), (bytes(33),) * 3])
def test_parts_of_another_size_are_no_answer(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected|bytes"):
        join(parts)


def test_the_byte_that_holds_nothing_may_be_left_out() -> None:
    short = BME280_CALIBRATION[:24] + BME280_CALIBRATION[25:]

    assert measured(join((short, bme280_values(ROOM)))).values["rh"] == pytest.approx(71.0, abs=0.01)


def test_a_chip_is_set_up_before_each_measurement() -> None:
    chip = simulated_chip("bme280", ROOM)
    assert isinstance(chip, RegisterChip)
    assert isinstance(DRIVER, I2cDriver)
    device = DRIVER.open(SimulatedI2c({0x76: chip}), 0x76, {})
    device.start()
    for _ in range(2):
        assert measured(device.read()).values["pressure"] == pytest.approx(1008.5, abs=0.01)
        assert (chip.registers[0xF2], chip.registers[0xF4]) == (0x01, 0x25)
        chip.registers[0xF2] = chip.registers[0xF4] = 0  # a brown-out


def test_a_bmp280_on_the_bus_is_known_by_its_id() -> None:
    chip = simulated_chip("bme280", ROOM)
    assert isinstance(chip, RegisterChip)
    chip.registers[0xD0] = BMP280
    device = DRIVER.open(SimulatedI2c({0x76: chip}), 0x76, {})
    device.start()

    assert measured(device.read()).values.keys() == {"temp", "pressure"}


def test_another_chip_at_the_address_is_not_read() -> None:
    device = DRIVER.open(SimulatedI2c({0x76: RegisterChip({0xD0: b"\x61"})}), 0x76, {})

    with pytest.raises(OSError, match="its id is 0x61"):
        device.start()
