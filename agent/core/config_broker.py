"""Rules of the table ``[broker]``: addresses, and certificates with their keys."""

from agent.core.config_problem import Report
from agent.core.settings import Broker
from agent.core.text import say

_IPV6 = frozenset("0123456789abcdefABCDEF:.")
_NOT_IN_A_HOST = frozenset("/?#[]\\")


def check_broker(broker: Broker, report: Report) -> None:
    """Report what does not fit together in ``[broker]``."""
    path = "broker.url"
    if not broker.urls and not report.wrong(path):
        right = say("mqtt://host:port or mqtts://host:port")
        report.error(path, "missing", say("this list is empty"), right)
    for at, url in enumerate(broker.urls):
        if url:
            _check_url(path if isinstance(broker.url, str) else f"{path}[{at}]", url, report)
    _check_certificate(broker, report)
    if any(url.startswith("mqtts:") for url in broker.urls):
        return
    for key in ("ca_file", "ca_pem", "cert_file"):
        if getattr(broker, key):
            hint = say("mqtts:// encrypts and checks the broker")
            report.warn(f"broker.{key}", "no_tls", say("this is not used with mqtt://"), hint)


def _check_certificate(broker: Broker, report: Report) -> None:
    if broker.cert_file and not broker.key_file and not report.wrong("broker.key_file"):
        message = say("a certificate needs its key")
        report.error("broker.cert_file", "no_key_file", message, say("set key_file"))
    if broker.key_file and not broker.cert_file and not report.wrong("broker.cert_file"):
        message = say("a key needs its certificate")
        report.error("broker.key_file", "no_cert_file", message, say("set cert_file"))


def _check_url(path: str, url: str, report: Report) -> None:
    """``mqtt[s]://host[:port]``. The URL is not repeated in a message: a password may stand in it."""
    address = url.partition("://")[2].removesuffix("/")
    if "@" in address:
        hint = say("use username and password_file")
        report.error(path, "userinfo", say("no user name or password belongs in a URL"), hint)
        return
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        good = bool(bracket and host) and not set(host) - _IPV6 and (not rest or rest[0] == ":")
        port = rest[1:] if rest else None
    else:
        host, colon, rest = address.partition(":")
        good = bool(host) and not set(host) & _NOT_IN_A_HOST and ":" not in rest
        port = rest if colon else None
    if not good:
        hint = say("mqtt://host:port or mqtts://host:port, an IPv6 address in brackets")
        report.error(path, "url", say("this is not the address of a broker"), hint)
    elif port is not None and not _is_port(port):
        report.error(path, "port", say("this port is not possible"), say("a whole number from 1 to 65535"))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65_536
