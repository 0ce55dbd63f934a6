"""Many gateways in one event loop, each with a certificate and a TLS connection of its own: MQTT 3.1.1, as far as
configurations need it."""

import asyncio
import json
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.support.city_broker import CityBroker
from tests.support.simulated_fleet import ROOT, SimulatedFleet, online_state, report

_AT_ONCE = 50
_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
_QOS_1, _RETAIN = 0x02, 0x01


class LightGateways:
    """``async with LightGateways(broker, names)``: each is online, runs its own files, and confirms what it is sent.

    ``received``: to whom something came, in its order; ``foreign``: topics of others that came to somebody;
    ``lost``: whose connection has ended.
    """

    def __init__(self, broker: CityBroker, names: Sequence[str]) -> None:
        self.received: list[str] = []
        self.foreign: list[str] = []
        self.lost: list[str] = []
        self._broker = broker
        self._gateways = [_Gateway(self, name) for name in names]

    async def __aenter__(self) -> "LightGateways":
        contexts = _contexts(self._broker, [one.name for one in self._gateways])
        some = asyncio.Semaphore(_AT_ONCE)

        async def begin(gateway: "_Gateway") -> None:
            async with some:
                await gateway.begin(self._broker.gateways_port, contexts[gateway.name])

        async with asyncio.TaskGroup() as group:
            for one in self._gateways:
                group.create_task(begin(one))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._gateways:
            one.end()
        await asyncio.gather(*(one.reading for one in self._gateways if one.reading), return_exceptions=True)


class _Gateway:
    def __init__(self, fleet: LightGateways, name: str) -> None:
        self.name = name
        self.reading: asyncio.Task[None] | None = None
        self._fleet = fleet
        self._base = f"{ROOT}/{name}"
        self._number = 0
        self._answered: dict[int, asyncio.Future[None]] = {}
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def begin(self, port: int, context: ssl.SSLContext) -> None:
        """Connect, say what runs, and listen."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        head = _text("MQTT") + bytes((4, 0x02)) + (600).to_bytes(2, "big")
        self._writer.write(_packet(_CONNECT, head + _text(self.name)))
        kind, body = await _read(self._reader)
        assert (kind, body[1]) == (_CONNACK, 0), f"{self.name} is not let in"
        self.reading = asyncio.create_task(self._read())
        await asyncio.gather(
            self._publish("state", online_state()), self._publish("config/reported", report(0, "")), self._subscribe()
        )

    def end(self) -> None:
        """Close without a word."""
        if self.reading is not None:
            self.reading.cancel()
        if self._writer is not None:
            self._writer.transport.abort()

    def _publish(self, leaf: str, message: dict[str, Any]) -> "asyncio.Future[None]":
        """Retained; done when the broker has it."""
        body = _text(f"{self._base}/{leaf}") + self._next() + json.dumps(message).encode()
        return self._send(_PUBLISH | _QOS_1 | _RETAIN, body)

    def _subscribe(self) -> "asyncio.Future[None]":
        return self._send(_SUBSCRIBE, self._next() + _text(f"{self._base}/config/desired") + b"\x01")

    def _next(self) -> bytes:
        self._number += 1
        return self._number.to_bytes(2, "big")

    def _send(self, kind: int, body: bytes) -> "asyncio.Future[None]":
        assert self._writer is not None
        answered = self._answered[self._number] = asyncio.get_running_loop().create_future()
        self._writer.write(_packet(kind, body))
        return answered

    async def _read(self) -> None:
        assert self._reader is not None
        try:
            while True:
                kind, body = await _read(self._reader)
                if kind in (_PUBACK, _SUBACK):
                    self._answered.pop(int.from_bytes(body[:2], "big")).set_result(None)
                elif kind & 0xF0 == _PUBLISH:
                    self._take(kind, body)
        except (OSError, asyncio.IncompleteReadError):
            self._fleet.lost.append(self.name)

    def _take(self, kind: int, body: bytes) -> None:
        assert self._writer is not None
        at = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:at].decode()
        if kind & 0x06:
            self._writer.write(_packet(_PUBACK, body[at : at + 2]))
            at += 2
        if topic != f"{self._base}/config/desired":
            self._fleet.foreign.append(topic)
            return
        self._fleet.received.append(self.name)
        self._publish("config/reported", SimulatedFleet.answer(body[at:]))


def _contexts(broker: CityBroker, names: Sequence[str]) -> dict[str, ssl.SSLContext]:
    """For each a context with a certificate of the city's CA: the scripts would take minutes for so many."""
    ca = x509.load_pem_x509_certificate(broker.ca.read_bytes())
    ca_key: Any = load_pem_private_key((broker.authority / "ca.key").read_bytes(), None)
    now = datetime.now(UTC)
    contexts = {}
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        until = (now - timedelta(days=1), now + timedelta(days=30))
        builder = x509.CertificateBuilder(ca.subject, subject, key.public_key(), x509.random_serial_number(), *until)
        pair = Path(broker.folder) / "pair.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pair.write_bytes(secret + builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM))
        contexts[name] = ssl.create_default_context(cafile=str(broker.ca))
        contexts[name].load_cert_chain(pair)
    return contexts


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


def _packet(kind: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while True:
        left, digit = left >> 7, left & 0x7F
        length.append(digit | (0x80 if left else 0))
        if not left:
            return bytes((kind, *length)) + body


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """First byte and body of the next packet."""
    kind = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return kind, await reader.readexactly(length)
