"""Explains why a connection to a broker failed, in one line that says what to fix."""

import socket
import ssl

from paho.mqtt.reasoncodes import ReasonCode

from agent.base.i18n import _
from agent.delivery.connection import ConnectionLost, ConnectionRefusedByBroker, Limits, UnsupportedVersion

_UNSUPPORTED_VERSION = 0x84
_MIN_PACKET_BYTES = 1024
"""A broker that accepts less cannot be used: most rows would have to be given up as too large."""


def refusal(code: ReasonCode) -> ConnectionLost:
    """Return the error for a CONNACK with this reason code."""
    if code.value == _UNSUPPORTED_VERSION:
        return UnsupportedVersion(_("the broker does not support this version of MQTT"))
    if code.value in (0x86, 0x87, 0x8C):
        return ConnectionRefusedByBroker(
            _("the broker refused the login: check username, password_file and the certificate")
        )
    if code.value in (0x85, 0x8A):
        return ConnectionRefusedByBroker(_("the broker refused this gateway: {reason}").format(reason=code))
    return ConnectionLost(_("the broker is not ready: {reason}").format(reason=code))


def unusable_limits(maximum_qos: int, limits: Limits) -> ConnectionLost | None:
    """Return the error for a broker that accepted the connection, but with limits that no reading fits into."""
    if maximum_qos < 1:
        return ConnectionRefusedByBroker(_("the broker does not support QoS 1"))
    if limits.packet_bytes < _MIN_PACKET_BYTES:
        return ConnectionRefusedByBroker(
            _("the broker accepts messages of at most {count} bytes; at least {min} are needed").format(
                count=limits.packet_bytes, min=_MIN_PACKET_BYTES
            )
        )
    return None


def text_of(error: Exception) -> str:
    """Return the text of an error without its number."""
    return str(getattr(error, "strerror", None) or error)


def why_not_reached(error: OSError, host: str, port: int) -> str:
    """Return why the host cannot be reached."""
    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _("the certificate of {where} is not accepted: {why}").format(where=where, why=error.verify_message)
    if isinstance(error, ssl.SSLError):
        return _("TLS with {where} failed: {why}").format(where=where, why=error.reason or error)
    if isinstance(error, socket.gaierror):
        return _("cannot resolve the name {host} (no network, or a wrong url)").format(host=host)
    if isinstance(error, ConnectionRefusedError):
        return _("nothing is listening at {where}: check that the broker is running and the port is right").format(
            where=where
        )
    if isinstance(error, TimeoutError):
        return _("no answer from {host}:{port}").format(host=host, port=port)
    return _("cannot connect to {where}: {why}").format(where=where, why=text_of(error))
