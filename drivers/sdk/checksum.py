"""Checksums and CRCs of the devices' protocols, by their names in profiles.

Parameters of the CRCs: the catalogue of parametrised CRC algorithms (polynomial, start value, reflection). The tests
compare their check values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Checksum:
    """``compute``: returns the number that a frame contains in ``size`` bytes, in ``order``."""

    size: int
    compute: Callable[[bytes], int]
    order: str = "big"
    reason: str = "checksum"


def _xor8(body: bytes) -> int:
    result = 0
    for byte in body:
        result ^= byte
    return result


@cache
def _left_table(polynomial: int) -> tuple[int, ...]:
    """Return the 256 steps of an 8-bit CRC with the highest bit first."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = ((byte << 1) ^ polynomial) & 0xFF if byte & 0x80 else byte << 1
        table.append(byte)
    return tuple(table)


@cache
def _right_table(polynomial: int) -> tuple[int, ...]:
    """Return the 256 steps of a CRC with the lowest bit first. ``polynomial``: the reflected one."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ polynomial if byte & 1 else byte >> 1
        table.append(byte)
    return tuple(table)


def crc8_left(body: bytes, polynomial: int, start: int) -> int:
    """Return an 8-bit CRC, highest bit first, such as that of Sensirion (0x31, 0xFF) or SMBus (0x07, 0)."""
    table = _left_table(polynomial)
    result = start
    for byte in body:
        result = table[result ^ byte]
    return result


def crc_right(body: bytes, polynomial: int, start: int) -> int:
    """Return a CRC of 8 or 16 bits, lowest bit first, such as that of Dallas (0x8C, 0) or Modbus (0xA001, 0xFFFF)."""
    table = _right_table(polynomial)
    result = start
    for byte in body:
        result = (result >> 8) ^ table[(result ^ byte) & 0xFF]
    return result


CHECKSUMS: dict[str, Checksum] = {
    "sum8": Checksum(1, lambda body: sum(body) & 0xFF),
    "sum8_not": Checksum(1, lambda body: ~sum(body) & 0xFF),
    "sum8_neg": Checksum(1, lambda body: -sum(body) & 0xFF),
    "sum16be": Checksum(2, lambda body: sum(body) & 0xFFFF),
    "sum16le": Checksum(2, lambda body: sum(body) & 0xFFFF, "little"),
    "xor8": Checksum(1, _xor8),
    "crc8_sensirion": Checksum(1, lambda body: crc8_left(body, 0x31, 0xFF), reason="crc"),
    "crc8_smbus": Checksum(1, lambda body: crc8_left(body, 0x07, 0), reason="crc"),
    "crc8_dallas": Checksum(1, lambda body: crc_right(body, 0x8C, 0), reason="crc"),
    "crc16_modbus": Checksum(2, lambda body: crc_right(body, 0xA001, 0xFFFF), "little", "crc"),
}
"""By name. ``sum8_not``: the ones' complement of the sum; ``sum8_neg``: its two's complement."""
