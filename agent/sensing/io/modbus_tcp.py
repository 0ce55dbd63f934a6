"""Modbus TCP behind the interface of a serial line: RTU frames in and out, with their CRC replaced by the TCP header.

Source: MODBUS messaging on TCP/IP implementation guide V1.0b, section 3.1.3 (MBAP header).
"""

import asyncio
import struct

from agent.base.i18n import _
from agent.sensing.sensor_errors import PortLost
from drivers.sdk.modbus import sealed

_HEADER = struct.Struct(">HHHB")
_CONNECT_S = 5.0
_MAX_LENGTH = 260
_CHUNK_BYTES = 4096
_DEFAULT_PORT = 502


class ModbusTcpLink:
    """One connection to a Modbus TCP server, created by :meth:`open`."""

    def __init__(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._name = name
        self._reader = reader
        self._writer = writer
        self._transaction = 0
        self._received = bytearray()

    @classmethod
    async def open(cls, name: str) -> "ModbusTcpLink":
        """Connect to ``host:port``. Raises :class:`~agent.sensing.sensor_errors.PortLost`."""
        host, _unused, port = name.rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(host or name, int(port) if host else _DEFAULT_PORT)
        except (OSError, TimeoutError, ValueError) as error:
            refused = isinstance(error, ConnectionRefusedError)
            why = _("nothing is listening there") if refused else str(error) or _("no answer")
            raise PortLost(_("no Modbus device at {where}: {why}").format(where=name, why=why)) from error
        return cls(name, reader, writer)

    async def write(self, raw: bytes) -> None:
        """Send a request in its RTU form. Raises :class:`PortLost`."""
        self._transaction = (self._transaction + 1) & 0xFFFF
        unit, body = raw[0], raw[1:-2]
        self._writer.write(_HEADER.pack(self._transaction, 0, len(body) + 1, unit) + body)
        try:
            await self._writer.drain()
        except OSError as error:
            raise self._lost() from error

    async def read(self, timeout_s: float) -> bytes:
        """Return the answer to the last request in its RTU form; empty after ``timeout_s``. Late answers to earlier
        requests are skipped. Raises :class:`PortLost`."""
        try:
            async with asyncio.timeout(timeout_s):
                while (answer := self._next_answer()) is None:
                    chunk = await self._reader.read(_CHUNK_BYTES)
                    if not chunk:
                        raise self._lost()
                    self._received += chunk
                return answer
        except TimeoutError:
            return b""
        except OSError as error:
            raise self._lost() from error

    def _next_answer(self) -> bytes | None:
        while len(self._received) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(self._received)
            if protocol or not 2 <= length <= _MAX_LENGTH:
                raise self._lost()
            end = _HEADER.size - 1 + length
            if len(self._received) < end:
                return None
            body = bytes(self._received[_HEADER.size : end])
            del self._received[:end]
            if transaction == self._transaction:
                return sealed(bytes((unit,)) + body)
        return None

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._writer.close()

    def _lost(self) -> PortLost:
        return PortLost(_("the Modbus device at {where} closed the connection").format(where=self._name))
