"""Connections to a configuration's brokers, with the certificate that is to be shown there."""

from agent.core.link import Will
from agent.core.settings import Broker, Config
from agent.edges import broker
from agent.edges.client_certificate import ClientCertificate


class BrokerConnections:
    """``certificate``: chooses what is shown, and hears what a broker makes of it."""

    def __init__(self, certificate: ClientCertificate) -> None:
        self._certificate = certificate

    async def connect(self, config: Config, url: str, will: Will | None, five: bool, guess: bool) -> broker.Link:
        """Open a connection. Raises :class:`~agent.core.link.LinkLost`."""

        async def attempt(settings: Broker) -> broker.Link:
            return await broker.connect(settings, url, config.gateway.id, will, five, guess)

        return await self._certificate.connect(config.broker, url, attempt)
