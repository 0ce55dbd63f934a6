"""Connects to a configuration's brokers with the right client certificate."""

from agent.config.settings import Broker, Config
from agent.delivery.connection import Will
from agent.delivery.io import mqtt
from agent.delivery.io.client_certificate import ClientCertificate


class BrokerConnections:
    """``certificate``: chooses the certificate, and learns whether a broker accepts it."""

    def __init__(self, certificate: ClientCertificate) -> None:
        self._certificate = certificate

    async def connect(
        self, config: Config, url: str, will: Will | None, mqtt5: bool, guess: bool
    ) -> mqtt.MqttConnection:
        """Open a connection. Raises :class:`~agent.delivery.connection.ConnectionLost`."""

        async def attempt(settings: Broker) -> mqtt.MqttConnection:
            return await mqtt.connect(settings, url, config.gateway.id, will, mqtt5, guess)

        return await self._certificate.connect(config.broker, url, attempt)
