"""The socket between the network and paho: it bounds what comes in before anything of it is buffered."""

import socket
import ssl

from agent.delivery.policies.mqtt_packets import NotMqtt, PacketFilter

_CHUNK_BYTES = 65_536


class BoundedSocket:
    """Stands in for the socket that it wraps, as far as paho and the event loop use one."""

    def __init__(self, wrapped: socket.socket, packets: PacketFilter) -> None:
        self._socket = wrapped
        self._packets = packets
        self._ready = b""
        self._at = 0

    def recv(self, size_bytes: int) -> bytes:
        """The next bytes; none where the other side has closed. Raises :class:`BlockingIOError` where none are there
        now, what the wrapped socket raises, and :class:`ConnectionAbortedError` for what is not MQTT."""
        if self._at == len(self._ready):
            chunk = self._socket.recv(_CHUNK_BYTES)
            if not chunk:
                return b""
            try:
                self._ready, self._at = self._packets.feed(chunk), 0
            except NotMqtt as error:
                self._packets.broken = True
                raise ConnectionAbortedError(str(error)) from error
            if not self._ready:
                raise BlockingIOError
        found = self._ready[self._at : self._at + size_bytes]
        self._at += len(found)
        return found

    def pending(self) -> int:
        """Bytes that were taken from the network and not read yet: ``select`` does not see them."""
        held = self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0
        return len(self._ready) - self._at + held

    def send(self, data: bytes) -> int:
        """Send what the network takes now; give how many bytes that was."""
        return self._socket.send(data)

    def fileno(self) -> int:
        """The descriptor, for the event loop."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        """Whether calls wait."""
        self._socket.setblocking(flag)

    def setsockopt(self, level: int, name: int, value: int) -> None:
        """Set an option of the socket."""
        self._socket.setsockopt(level, name, value)

    def close(self) -> None:
        """Close it."""
        self._socket.close()
