"""Notifications to systemd: sd_notify(3) over a datagram socket."""

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends notifications to ``NOTIFY_SOCKET``; without systemd it does nothing. Never fails.

    ``watchdog_s``: seconds after which systemd kills a service that has not fed its watchdog; 0 without a watchdog.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A name that starts with @ is an abstract socket: its first byte is zero.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if self._address and ours and usec.isdecimal() else 0.0
        self._status = ""

    @property
    def enabled(self) -> bool:
        """Whether systemd is listening."""
        return bool(self._address)

    def ready(self) -> None:
        """Report that the store is open and the sensors are started."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Report that the agent is stopping."""
        self._send("STOPPING=1")

    def feed(self) -> None:
        """Restart the watchdog's timer."""
        self._send("WATCHDOG=1")

    def status(self, line: str) -> None:
        """Set the status line of ``systemctl status``, if it has changed."""
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def _send(self, message: str) -> None:
        if self._address:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.setblocking(False)
                out.sendto(message.encode(), self._address)
