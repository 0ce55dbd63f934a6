import pytest

from drivers.sdk.checksum import CHECKSUMS

DIGITS = b"123456789"


@pytest.mark.parametrize(
    ("name", "body", "value"),
    [
        ("sum8", bytes.fromhex("D4043A0AA160"), 0x1D),
        ("sum8_neg", bytes.fromhex("86027C42000000"), 0xBA),
        ("sum8_not", bytes.fromhex("00030000"), 0xFC),
        ("sum16be", b"\xff" * 300, 300 * 0xFF & 0xFFFF),
        ("sum16le", b"\xff" * 300, 300 * 0xFF & 0xFFFF),
        ("xor8", DIGITS, 0x31),
        ("crc8_sensirion", bytes.fromhex("BEEF"), 0x92),  # SHT3x data sheet
        ("crc8_smbus", DIGITS, 0xF4),  # catalogue of CRCs: CRC-8/SMBUS
        ("crc8_dallas", DIGITS, 0xA1),  # catalogue of CRCs: CRC-8/MAXIM-DOW
        ("crc16_modbus", DIGITS, 0x4B37),  # catalogue of CRCs: CRC-16/MODBUS
    ],
)
def test_a_checksum_gives_its_published_check_value(name: str, body: bytes, value: int) -> None:
    assert CHECKSUMS[name].compute(body) == value


def test_every_checksum_fits_its_size() -> None:
    for name, checksum in CHECKSUMS.items():
        assert checksum.compute(b"\xff" * 1000) < 256**checksum.size, name
