"""Why there is no connection to a broker, in one line that says what to mend."""

import socket
import ssl

from paho.mqtt.reasoncodes import ReasonCode

from agent.base.i18n import say
from agent.delivery.connection import LinkLost, Refused, WrongVersion

_UNSUPPORTED_VERSION = 0x84


def refusal(code: ReasonCode) -> LinkLost:
    """What a CONNACK with this reason calls for."""
    if code.value == _UNSUPPORTED_VERSION:
        return WrongVersion(say("the broker does not support this version of MQTT"))
    if code.value in (0x86, 0x87, 0x8C):
        return Refused(say("the broker refused the login: check username, password_file and the certificate"))
    if code.value in (0x85, 0x8A):
        return Refused(say("the broker refused this gateway: {reason}", reason=code))
    return LinkLost(say("the broker is not ready: {reason}", reason=code))


def text_of(error: Exception) -> str:
    """An error without its number."""
    return str(getattr(error, "strerror", None) or error)


def why_not_reached(error: OSError, host: str, port: int) -> str:
    """Why the host cannot be reached."""
    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return say("the certificate of {where} is not accepted: {why}", where=where, why=error.verify_message)
    if isinstance(error, ssl.SSLError):
        return say("TLS with {where} failed: {why}", where=where, why=error.reason or error)
    if isinstance(error, socket.gaierror):
        return say("cannot resolve the name {host} (no network, or a wrong url)", host=host)
    if isinstance(error, ConnectionRefusedError):
        return say(
            "nothing is listening at {where}: check that the broker is running and the port is right", where=where
        )
    if isinstance(error, TimeoutError):
        return say("no answer from {host}:{port}", host=host, port=port)
    return say("cannot connect to {where}: {why}", where=where, why=text_of(error))
