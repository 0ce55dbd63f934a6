from drivers.sdk.bus import ModbusDriver
from drivers.sdk.contract import Measurement
from drivers.sdk.modbus import answer, refusal
from drivers.sim.models import shipped_profile

DRIVER = shipped_profile("sen0657").driver
assert isinstance(DRIVER, ModbusDriver)
SEN0657 = {500: 25, 501: 2, 502: 6, 503: 270, 504: 658, 505: 285, 509: 1008, 510: 0, 511: 50000, 513: 125}
"""The registers that the DFRobot station has; those of noise and dust between them it has not."""


def said(station: dict[int, int]) -> list[object]:
    """What is read from a station that refuses each block which holds a register that it does not have."""
    decoder = DRIVER.decoder({})
    items: list[object] = []
    for read in DRIVER.reads:
        registers = [station.get(read.address + at) for at in range(read.count)]
        known = b"".join(each.to_bytes(2, "big") for each in registers if each is not None)
        items += decoder.feed(refusal(1, read, 2) if None in registers else answer(1, read, known), 0)
    return items


def test_a_station_without_a_microphone_is_read_whole() -> None:
    (found,) = said(SEN0657)

    assert isinstance(found, Measurement)
    assert not found.q
    assert {name: round(value, 1) for name, value in found.values.items() if isinstance(value, (int, float))} == {
        "wind_speed": 2.5,
        "wind_direction": 270,
        "temp": 28.5,
        "rh": 65.8,
        "pressure": 1008,
        "light": 50000,
        "rain": 12.5,
    }


def test_a_sister_with_a_microphone_gives_noise() -> None:
    (found,) = said({**SEN0657, 506: 543})

    assert isinstance(found, Measurement)
    assert round(float(str(found.values["noise"])), 1) == 54.3


def test_a_sister_without_light_and_rain_is_read_whole() -> None:
    (found,) = said({register: value for register, value in SEN0657.items() if register < 510})

    assert isinstance(found, Measurement)
    assert found.values.keys() == {"wind_speed", "wind_direction", "temp", "rh", "pressure"}
