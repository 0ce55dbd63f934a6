"""A pseudo-terminal that simulates a serial port: the device's side of the line."""

import errno
import fcntl
import os
import select
import struct
import tty
from pathlib import Path

_TCGETS2 = 0x802C542A
_TERMIOS2 = "<4I20B2I"


class PtyPort:
    """The device's end of a serial line. ``port``: the name that the agent opens (the symlink, if any).

    No call blocks. As on a real line, nothing is kept for a reader that has not opened the port.
    """

    def __init__(self, link: Path | None = None) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        os.close(slave)  # held open, it would hide whether the port is open
        os.set_blocking(self._master, False)
        self._poll = select.poll()
        self._poll.register(self._master, 0)
        self._link = link
        if link is not None:
            link.unlink(missing_ok=True)
            link.symlink_to(self.device)
        self.port = str(link) if link is not None else self.device

    def fileno(self) -> int:
        return self._master

    def is_open(self) -> bool:
        """Return whether the other side has the port open."""
        return not any(event & select.POLLHUP for _, event in self._poll.poll(0))

    def baud(self) -> int:
        """Return the line rate set by the other side (a pty itself ignores it)."""
        raw = fcntl.ioctl(self._master, _TCGETS2, bytes(struct.calcsize(_TERMIOS2)))
        return int(struct.unpack(_TERMIOS2, raw)[-1])

    def write(self, chunk: bytes) -> int:
        """Send bytes; return how many were accepted."""
        try:
            return os.write(self._master, chunk)
        except BlockingIOError:
            return 0

    def read(self) -> bytes:
        """Return the bytes sent by the other side; empty if there are none, or the port is closed."""
        try:
            return os.read(self._master, 4096)
        except OSError as error:
            if error.errno in (errno.EIO, errno.EAGAIN):
                return b""
            raise

    def close(self) -> None:
        """Unplug: the other side loses the connection, and the stable name disappears."""
        if self._master < 0:
            return
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        self._poll.unregister(self._master)
        os.close(self._master)
        self._master = -1
