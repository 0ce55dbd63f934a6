"""An I2C bus through the kernel: the only importer of smbus2. Blocking; called from the bus's own thread."""

import contextlib
import errno
import os
import time
from collections.abc import Callable
from typing import Any

from agent.base.i18n import _
from agent.sensing.sensor_errors import PortLost

_PLAIN_I2C = 0x1
"""I2C_FUNC_I2C of the kernel: the adapter supports messages of any form, not only those of SMBus."""
_MAX_SMBUS_BYTES = 32


class I2cPort:
    """The bus ``/dev/i2c-N``, open until :meth:`close`.

    Raises :class:`~agent.sensing.sensor_errors.PortLost` if the bus itself does not exist, and :class:`OSError` if a
    device does not answer. ``open_bus``: opens the bus by its number; default: smbus2.
    """

    def __init__(self, number: int, open_bus: Callable[[int], Any] | None = None) -> None:
        try:
            from smbus2 import SMBus, i2c_msg
        except ImportError:
            raise PortLost(_("I2C needs the extra i2c: pip install 'gardu[i2c]'")) from None
        try:
            self._bus = (open_bus or SMBus)(number)
        except FileNotFoundError:
            raise PortLost(
                _("I2C bus {number} does not exist: check that I2C is enabled").format(number=number)
            ) from None
        except PermissionError:
            raise PortLost(
                _("no permission to open I2C bus {number}: add the user to the group i2c").format(number=number)
            ) from None
        except OSError as error:
            raise PortLost(_("cannot use I2C bus {number}: {why}").format(number=number, why=error.strerror)) from error
        self._message = i2c_msg
        self._plain = bool(self._bus.funcs & _PLAIN_I2C)

    def write(self, address: int, raw: bytes) -> None:
        """Write ``raw`` to a device."""
        if self._plain:
            self._bus.i2c_rdwr(self._message.write(address, raw))
        else:
            _smbus_write(self._bus, address, raw)

    def read(self, address: int, count: int) -> bytes:
        """Read exactly ``count`` bytes from a device."""
        if not self._plain:
            _require(count == 1)
            return bytes((self._bus.read_byte(address),))
        answer = self._message.read(address, count)
        self._bus.i2c_rdwr(answer)
        return bytes(answer)

    def write_read(self, address: int, raw: bytes, count: int) -> bytes:
        """Write ``raw`` and, after a repeated start, read exactly ``count`` bytes."""
        if not self._plain:
            _require(len(raw) == 1 and count <= _MAX_SMBUS_BYTES)
            return bytes(self._bus.read_i2c_block_data(address, raw[0], count))
        answer = self._message.read(address, count)
        self._bus.i2c_rdwr(self._message.write(address, raw), answer)
        return bytes(answer)

    def pause(self, seconds: float) -> None:
        """Wait for a device."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close the bus; safe to call twice."""
        with contextlib.suppress(OSError):
            self._bus.close()


def _smbus_write(bus: Any, address: int, raw: bytes) -> None:
    """Write the same bytes with calls that every adapter supports."""
    _require(1 <= len(raw) <= 1 + _MAX_SMBUS_BYTES)
    if len(raw) == 1:
        bus.write_byte(address, raw[0])
    else:
        bus.write_i2c_block_data(address, raw[0], list(raw[1:]))


def _require(possible: bool) -> None:
    """Raise :class:`OSError` if the request needs more than an SMBus-only adapter supports."""
    if not possible:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
