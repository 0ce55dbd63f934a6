"""The socket between the network and paho: limits what arrives before any of it is buffered."""

import socket
import ssl

from agent.delivery.policies.mqtt_packets import MalformedPacket, PacketFilter

_CHUNK_BYTES = 65_536


class BoundedSocket:
    """Wraps a socket with the methods that paho and the event loop use."""

    def __init__(self, wrapped: socket.socket, packets: PacketFilter) -> None:
        self._socket = wrapped
        self._packets = packets
        self._ready = b""
        self._at = 0

    def recv(self, size_bytes: int) -> bytes:
        """Return the next bytes; empty if the peer has closed. Raises :class:`BlockingIOError` if none are available
        now, the wrapped socket's exceptions, and :class:`ConnectionAbortedError` for data that is not MQTT."""
        if self._at == len(self._ready):
            chunk = self._socket.recv(_CHUNK_BYTES)
            if not chunk:
                return b""
            try:
                self._ready, self._at = self._packets.feed(chunk), 0
            except MalformedPacket as error:
                self._packets.broken = True
                raise ConnectionAbortedError(str(error)) from error
            if not self._ready:
                raise BlockingIOError
        chunk = self._ready[self._at : self._at + size_bytes]
        self._at += len(chunk)
        return chunk

    def pending(self) -> int:
        """Return the number of bytes received but not read yet, which ``select`` does not see."""
        held = self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0
        return len(self._ready) - self._at + held

    def send(self, data: bytes) -> int:
        """Send what the network accepts now; return the number of bytes."""
        return self._socket.send(data)

    def fileno(self) -> int:
        """Return the descriptor, for the event loop."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        """Set whether calls block."""
        self._socket.setblocking(flag)

    def setsockopt(self, level: int, name: int, value: int) -> None:
        """Set an option of the socket."""
        self._socket.setsockopt(level, name, value)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
