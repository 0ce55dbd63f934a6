"""A pseudo-terminal that stands in for a serial port: the device's side of the line."""

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

    No call blocks. Nothing is kept for a reader that has not opened the port, as on a real line.
    """

    def __init__(self, link: Path | None = None) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        os.close(slave)  # held open, it would hide whether anybody listens
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
        """Whether somebody has the port open."""
        return not any(event & select.POLLHUP for _, event in self._poll.poll(0))

    def baud(self) -> int:
        """The line rate that the other side has set (a pty itself ignores it)."""
        raw = fcntl.ioctl(self._master, _TCGETS2, bytes(struct.calcsize(_TERMIOS2)))
        return int(struct.unpack(_TERMIOS2, raw)[-1])

    def write(self, chunk: bytes) -> int:
        """Send bytes; how many of them found room."""
        try:
            return os.write(self._master, chunk)
        except BlockingIOError:
            return 0

    def read(self) -> bytes:
        """What the other side has sent; empty where there is nothing, or nobody."""
        try:
            return os.read(self._master, 4096)
        except OSError as error:
            if error.errno in (errno.EIO, errno.EAGAIN):
                return b""
            raise

    def close(self) -> None:
        """Pull the plug: the other side loses the link, and the stable name disappears."""
        if self._master < 0:
            return
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        self._poll.unregister(self._master)
        os.close(self._master)
        self._master = -1
