"""Makes an old broker of a new one: a proxy that lets nothing but MQTT 3.1.1 pass."""

import asyncio
from types import TracebackType

_REFUSED = bytes((0x20, 2, 0, 1))
"""CONNACK of MQTT 3.1.1, return code 1: unacceptable protocol version (OASIS MQTT 3.1.1, section 3.2.2.3)."""
_LEVEL_AT = 6
"""Behind the length of the rest: two bytes of length, "MQTT", and then the protocol level (section 3.1.2.2)."""


class OldBroker:
    """In front of the broker at ``target_port``. ``refused``, ``passed``: connections of either kind."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.refused = 0
        self.passed = 0
        self._target_port = target_port
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "OldBroker":
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(2)
        while first[-1] & 0x80:
            first += await reader.readexactly(1)
        variable = await reader.readexactly(_LEVEL_AT + 1)
        if variable[_LEVEL_AT] != 4:
            self.refused += 1
            writer.write(_REFUSED)
            writer.close()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        self.passed += 1
        far_writer.write(first + variable)
        self._pumps |= {asyncio.create_task(_pump(reader, far_writer)), asyncio.create_task(_pump(far_reader, writer))}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
