"""Makes an old broker of a new one: a proxy that lets nothing but MQTT 3.1.1 pass."""

import asyncio

from tests.support.loopback_server import LoopbackServer

_REFUSED = bytes((0x20, 2, 0, 1))
"""CONNACK of MQTT 3.1.1, return code 1: unacceptable protocol version (OASIS MQTT 3.1.1, section 3.2.2.3)."""
_LEVEL_AT = 6
"""Behind the length of the rest: two bytes of length, "MQTT", and then the protocol level (section 3.1.2.2)."""


class OldBroker(LoopbackServer):
    """In front of the broker at ``target_port``. ``refused``, ``passed``: connections of either kind."""

    def __init__(self, target_port: int) -> None:
        super().__init__()
        self.refused = 0
        self.passed = 0
        self._target_port = target_port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(2)
        while first[-1] & 0x80:
            first += await reader.readexactly(1)
        variable = await reader.readexactly(_LEVEL_AT + 1)
        if variable[_LEVEL_AT] != 4:
            self.refused += 1
            writer.write(_REFUSED)
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self.passed += 1
        far_writer.write(first + variable)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
