"""The four ways to a broker: MQTT 5 and 3.1.1, plain and behind TLS."""

import ssl
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.delivery.timings import DeliveryTimings
from tests.support.gateway import Running, gateway
from tests.support.pki import Issued
from tests.support.scripted_broker import ScriptedBroker

QUICK = DeliveryTimings(ack_s=2.0, pause_s=0.2)
"""Two seconds are enough for a handshake beside five other tests."""


@dataclass(frozen=True, slots=True)
class Kind:
    """``tls``: whether the connection is encrypted."""

    version: int
    tls: bool
    authority: Path
    certificate: Issued

    def broker(self, **more: Any) -> ScriptedBroker:
        """A broker of this kind."""
        return ScriptedBroker(versions=(self.version,), tls=self._context() if self.tls else None, **more)

    def gateway(
        self, folder: Path, port: int, timings: DeliveryTimings = QUICK, **more: Any
    ) -> AbstractAsyncContextManager[Running]:
        """A gateway with little patience, whose broker is at this port."""
        url = f"{'mqtts' if self.tls else 'mqtt'}://127.0.0.1:{port}"
        ca_file = str(self.authority) if self.tls else ""
        return gateway(folder, url, wait=0.05, timings=timings, ca_file=ca_file, **more)

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        return context
