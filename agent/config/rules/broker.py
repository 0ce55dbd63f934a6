"""Rules of the table ``[broker]``: addresses, certificates with their keys, and where a password may go."""

import re

from agent.base.i18n import _
from agent.config.settings import Broker
from drivers.sdk.tables.problem import Report

_IPV6 = re.compile(r"[0-9a-fA-F:.]{2,45}")
_LABEL = re.compile(rb"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_HOST = 253
_LOOPBACK = re.compile(r"mqtts?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?/?", re.IGNORECASE)


def check_broker(broker: Broker, report: Report) -> None:
    """Report what does not fit together in ``[broker]``."""
    path = "broker.url"
    if not broker.urls and not report.wrong(path):
        right = _("mqtt://host:port or mqtts://host:port")
        report.error(path, "missing", _("this list is empty"), right)
    for at, url in enumerate(broker.urls):
        if url:
            _check_url(path if isinstance(broker.url, str) else f"{path}[{at}]", url, report)
    _check_certificate(broker, report)
    _check_password(broker, report)
    if any(url.startswith("mqtts:") for url in broker.urls):
        return
    for key in ("ca_file", "ca_pem", "cert_file"):
        if getattr(broker, key):
            hint = _("mqtts:// encrypts the connection and verifies the broker")
            report.warn(f"broker.{key}", "no_tls", _("not used with mqtt://"), hint)


def _check_certificate(broker: Broker, report: Report) -> None:
    if broker.cert_file and not broker.key_file and not report.wrong("broker.key_file"):
        message = _("a certificate needs its key")
        report.error("broker.cert_file", "no_key_file", message, _("set key_file"))
    if broker.key_file and not broker.cert_file and not report.wrong("broker.cert_file"):
        message = _("a key needs its certificate")
        report.error("broker.key_file", "no_cert_file", message, _("set cert_file"))


def _check_password(broker: Broker, report: Report) -> None:
    """Report a password that would leave this computer unencrypted, unless the gateway's own file allows it."""
    if not (broker.username and broker.password_file) or broker.allow_plain_password:
        return
    for at, url in enumerate(broker.urls):
        path = "broker.url" if isinstance(broker.url, str) else f"broker.url[{at}]"
        if url.startswith("mqtt://") and not _LOOPBACK.fullmatch(url) and not report.wrong(path):
            message = _("the password would be sent unencrypted")
            hint = _("use mqtts://, or set allow_plain_password = true in the gateway's own file")
            report.error(path, "plain_password", message, hint)


def _check_url(path: str, url: str, report: Report) -> None:
    """Check ``mqtt[s]://host[:port]``. Messages do not repeat the URL, because it may contain a password."""
    address = url.partition("://")[2].removesuffix("/")
    if "@" in address:
        hint = _("use username and password_file")
        report.error(path, "userinfo", _("a URL must not contain a user name or password"), hint)
        return
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        good = bool(bracket) and _is_ipv6(host) and (not rest or rest[0] == ":")
        port = rest[1:] if rest else None
    else:
        host, colon, rest = address.partition(":")
        good = ":" not in rest and _is_name(host)
        port = rest if colon else None
    if not good:
        hint = _("mqtt://host:port or mqtts://host:port, an IPv6 address in brackets")
        report.error(path, "url", _("not the address of a broker"), hint)
    elif port is not None and not _is_port(port):
        report.error(path, "port", _("invalid port"), _("an integer from 1 to 65535"))


def _is_name(host: str) -> bool:
    """Return whether this is an IPv4 address, or a name that can be encoded for a resolver."""
    try:
        encoded = host.encode("ascii" if host.isascii() else "idna").removesuffix(b".")
    except UnicodeError:
        return False
    labels = encoded.split(b".")
    if len(encoded) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    # What ends in a number is an address, not a name.
    return not labels[-1].isdigit() or (len(labels) == 4 and all(_is_byte(label) for label in labels))


def _is_byte(label: bytes) -> bool:
    return label.isdigit() and len(label) <= 3 and int(label) < 256


def _is_ipv6(host: str) -> bool:
    if not _IPV6.fullmatch(host):
        return False
    from ipaddress import AddressValueError, IPv6Address  # few gateways have one

    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65_536
