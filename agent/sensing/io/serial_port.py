"""A serial port, opened by its stable name: the only importer of pyserial.

pyserial configures the line; reading and writing go through the event loop, without a thread.
"""

import asyncio
import contextlib
import os
import termios
from typing import Any

import serial

from agent.base.i18n import _
from agent.sensing.sensor_errors import PortLost
from drivers.sdk.contract import LineSettings

_CHUNK_BYTES = 4096
"""The size of the kernel's line buffer: one read never returns more, so a turn of one port stays short."""
_PACE_S = 0.01
"""The minimum interval between reads of a port: a fast or flooding device costs a hundred reads a second, not one per
byte."""
_WRITE_S = 2.0


class _Port(serial.Serial):
    """pyserial's port without the flush on opening: bytes that arrived before are a first reading."""

    def _reset_input_buffer(self) -> None:
        pass


class SerialLink:
    """An open port, created by :meth:`open`."""

    def __init__(self, name: str, port: serial.Serial) -> None:
        self._name = name
        self._port = port
        self._fd: int = port.fileno()
        self._loop = asyncio.get_running_loop()
        self._next_read_s = 0.0

    @classmethod
    def open(cls, name: str, line: LineSettings) -> "SerialLink":
        """Open and configure a port. Raises :class:`PortLost`, with a text that says what to fix."""
        try:
            port = _open_serial(name, line)
            # VMIN 1: otherwise an idle port reads as empty, just like an unplugged one.
            attributes: list[Any] = termios.tcgetattr(port.fileno())
            attributes[6][termios.VMIN] = 1
            termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
        except (OSError, termios.error, ValueError) as error:
            raise PortLost(_error_text(name, error)) from error
        return cls(name, port)

    async def read(self, timeout_s: float) -> bytes:
        """Return all pending bytes, waiting for the first; empty after ``timeout_s``. Raises :class:`PortLost`."""
        pause_s = self._next_read_s - self._loop.time()
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        chunk = self._read_now()
        if chunk is None and await self._readable(timeout_s):
            chunk = self._read_now()
        if chunk:
            self._next_read_s = self._loop.time() + _PACE_S
        return chunk or b""

    async def write(self, raw: bytes) -> None:
        """Send all bytes. Raises :class:`PortLost`, also if the port accepts none for 2 s."""
        deadline_s = self._loop.time() + _WRITE_S
        while raw:
            try:
                raw = raw[os.write(self._fd, raw) :]
            except BlockingIOError:
                if self._loop.time() > deadline_s:
                    raise PortLost(_("port {port} accepts no data").format(port=self._name)) from None
                await asyncio.sleep(_PACE_S)
            except OSError as error:
                raise PortLost(_error_text(self._name, error)) from error

    def close(self) -> None:
        """Close the port; safe to call twice."""
        # Closing may fail if the device was unplugged; there is nothing left to lose.
        with contextlib.suppress(OSError, termios.error):
            self._port.close()

    def _read_now(self) -> bytes | None:
        """Return the bytes available now; ``None`` if there are none."""
        try:
            chunk = os.read(self._fd, _CHUNK_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise PortLost(_error_text(self._name, error)) from error
        if not chunk:
            raise PortLost(_("port {port} was unplugged").format(port=self._name))
        return chunk

    async def _readable(self, timeout_s: float) -> bool:
        ready: asyncio.Future[bool] = self._loop.create_future()
        self._loop.add_reader(self._fd, _resolve, ready, True)
        timer = self._loop.call_later(timeout_s, _resolve, ready, False)
        try:
            return await ready
        finally:
            timer.cancel()
            self._loop.remove_reader(self._fd)


def _resolve(future: "asyncio.Future[bool]", result: bool) -> None:
    if not future.done():
        future.set_result(result)


def _open_serial(name: str, line: LineSettings) -> serial.Serial:
    settings: dict[str, Any] = {"baudrate": line.baud, "stopbits": line.stop_bits, "timeout": 0, "exclusive": True}
    try:
        return _Port(name, parity=line.parity, bytesize=line.data_bits, **settings)
    except termios.error:
        # A pseudo terminal accepts parity or 7 bits once and refuses them when opened again; it has no use for them. On
        # a real port this is a fault.
        if not os.path.realpath(name).startswith("/dev/pts/"):
            raise
        return _Port(name, **settings)


def _error_text(name: str, error: Exception) -> str:
    number = error.args[0] if isinstance(error, termios.error) else getattr(error, "errno", None)
    match number:
        case 2 | 6 | 19:  # ENOENT, ENXIO, ENODEV
            return _("port {port} does not exist: check that the device is plugged in and the name is right").format(
                port=name
            )
        case 13:  # EACCES
            return _("no permission to open port {port}: add the user to the group dialout").format(port=name)
        case 11 | 16:  # EAGAIN from the lock, EBUSY
            return _("port {port} is in use by another program").format(port=name)
        case 5:  # EIO
            return _("port {port} was unplugged").format(port=name)
    return _("cannot use port {port}: {why}").format(port=name, why=getattr(error, "strerror", None) or error)
