from drivers.mlx90614 import DRIVER, pec
from drivers.sdk.contract import Item, Measurement, Rejected
from drivers.sim.i2c import SimulatedI2c, simulated_chip


def items(raw: bytes) -> list[Item]:
    decoder = DRIVER.decoder({})
    return [*decoder.feed(raw, 0), *decoder.finish(0)]


def word(command: int, raw: int) -> bytes:
    low_first = raw.to_bytes(2, "little")
    return low_first + bytes((pec(0x5A, command, low_first),))


def test_the_pec_of_the_datasheet() -> None:
    assert pec(0x5A, 0x07, bytes.fromhex("D2 3A")) == 0x30


def test_the_error_bit_takes_the_value_away() -> None:
    (item,) = items(word(0x07, 0x8000 | 15058) + word(0x06, 15000))

    assert isinstance(item, Measurement)
    assert item.values["object_temp"] is None
    assert item.q == {"object_temp": "bad:device"}


def test_a_word_of_the_other_register_is_not_taken_for_it() -> None:
    assert items(word(0x06, 15058)) == [Rejected("crc")]


def test_one_broken_word_does_not_hide_the_other() -> None:
    broken = bytes((word(0x07, 15058)[0] ^ 1,)) + word(0x07, 15058)[1:]

    rejected, item = items(broken + word(0x06, 15000))

    assert rejected == Rejected("crc")
    assert isinstance(item, Measurement)
    assert item.values.keys() == {"ambient_temp"}


def test_both_words_are_read_from_the_bus() -> None:
    device = DRIVER.open(SimulatedI2c({0x5A: simulated_chip("mlx90614")}), 0x5A, {})
    device.start()

    (item,) = items(device.read())

    assert isinstance(item, Measurement)
    assert item.values.keys() == {"object_temp", "ambient_temp"}
