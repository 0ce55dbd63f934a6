"""What the agent tells systemd of itself: sd_notify(3), over a datagram socket."""

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Speaks where systemd listens (``NOTIFY_SOCKET``), and says nothing elsewhere. Never fails.

    ``watchdog_s``: seconds after which systemd kills a service that has not fed its watchdog; 0 where it has none.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ lies in the abstract space, where the first byte is zero.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if self._address and ours and usec.isdecimal() else 0.0
        self._status = ""

    @property
    def heard(self) -> bool:
        """Whether systemd listens."""
        return bool(self._address)

    def ready(self) -> None:
        """The store is open and the sensors are started."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def feed(self) -> None:
        """All is well: the watchdog waits for another ``watchdog_s``."""
        self._send("WATCHDOG=1")

    def status(self, line: str) -> None:
        """One line for ``systemctl status``; sent where it is another one than before."""
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def _send(self, message: str) -> None:
        if self._address:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.setblocking(False)
                out.sendto(message.encode(), self._address)
