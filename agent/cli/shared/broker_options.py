"""The options with which commands connect to a broker."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from agent.base.i18n import _
from agent.config.settings import Broker
from agent.delivery.connection import NoConnack, UnsupportedVersion
from agent.delivery.io import mqtt

DEFAULT_URL = "mqtt://127.0.0.1:1883"


def add_broker_options(parser: ArgumentParser, positional: bool = False, default: str | None = DEFAULT_URL) -> None:
    """Add the broker's address and credentials. ``positional``: the address is an argument of its own."""
    url = _("address of the broker: mqtt://[user:password@]host[:port] or mqtts://…")
    if positional:
        parser.add_argument("broker", metavar="URL", type=broker_url, help=url)
    else:
        parser.add_argument("--broker", metavar="URL", type=broker_url, default=default, help=url)
    parser.add_argument("--username", default="", metavar="NAME", help=_("user name for the broker"))
    parser.add_argument("--password-file", default="", metavar="FILE", help=_("file that contains the password"))
    authority = _("CA certificates to verify the broker with; default: those of the system")
    parser.add_argument("--ca-file", default="", metavar="FILE", help=authority)
    parser.add_argument("--cert-file", default="", metavar="FILE", help=_("client certificate"))
    parser.add_argument("--key-file", default="", metavar="FILE", help=_("private key of the client certificate"))


def broker_url(text: str) -> str:
    """Check a broker's address. Raises :class:`argparse.ArgumentTypeError`."""
    parts = urlsplit(text)
    try:
        usable = parts.scheme in ("mqtt", "mqtts") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ArgumentTypeError(
            _("{url} is not the address of a broker: use mqtt://host:port or mqtts://host:port").format(url=repr(text))
        )
    return text


@dataclass(slots=True)
class BrokerOptions:
    """A broker and the credentials. ``five``: whether to try MQTT 5 next."""

    url: str
    settings: Broker
    password: str | None
    five: bool = True

    @classmethod
    def of(cls, args: Namespace) -> "BrokerOptions":
        """Return the options from the command line."""
        parts = urlsplit(args.broker)
        url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        settings = Broker(
            url=url,
            username=args.username or unquote(parts.username or ""),
            ca_file=args.ca_file,
            password_file=args.password_file,
            cert_file=args.cert_file,
            key_file=args.key_file,
        )
        return cls(url, settings, unquote(parts.password) if parts.password is not None else None)

    async def connect(self, client_id: str) -> mqtt.MqttConnection:
        """Connect; try the other version of MQTT if the broker does not support the first. Raises
        :class:`~agent.delivery.connection.ConnectionLost`."""
        try:
            return await self._connect(client_id)
        except (UnsupportedVersion, NoConnack):
            self.five = not self.five
            return await self._connect(client_id)

    async def _connect(self, client_id: str) -> mqtt.MqttConnection:
        return await mqtt.connect(self.settings, self.url, client_id, None, self.five, self.five, self.password)
