"""Puts messages on one connection: batches and what carries no rows, within the connection's window."""

from agent.base.reading import Row
from agent.delivery import wire
from agent.delivery.context import Connection, DeliveryContext, Store
from agent.delivery.losses import Losses
from agent.delivery.policies.batching import one_message
from agent.delivery.window import InFlight, Window

_PACKET_OVERHEAD = 256
"""Bytes kept free for topic and properties below the broker's Maximum Packet Size."""


class Publisher:
    """Of one connection. ``window``: what is under way."""

    def __init__(self, context: DeliveryContext[Store], link: Connection, losses: Losses, careful: bool) -> None:
        self._context = context
        self._link = link
        self._losses = losses
        self._topics = context.presence.topics
        self._max_bytes = min(wire.MAX_BATCH_BYTES, link.limits.packet_bytes - _PACKET_OVERHEAD)
        self.window = Window(link.limits.receive_maximum, careful)
        context.lane.described.clear()

    def fits(self, payload: bytes) -> bool:
        """Whether the broker takes a message as long as this."""
        return len(payload) <= self._link.limits.packet_bytes - _PACKET_OVERHEAD

    def announce(self, topic: str, payload: bytes, retain: bool) -> int:
        """Send a message that carries no rows; give its id."""
        mid = self._link.publish(topic, payload, retain, wire.CONTENT_TYPES["json"])
        self.window.sent(mid, InFlight("", 0, 0, len(payload), self._context.clocks.now_s(), late=False))
        return mid

    async def publish(self, stream: str, rows: list[Row], late: bool) -> int:
        """Send the longest beginning of ``rows`` that makes one message; give the number after its last row (the
        first one's own, where an older description had to go first)."""
        rows = one_message(rows)
        if await self._describe(rows[0].context.meta_hash):
            return rows[0].seq
        rows, payload = self._encoded(stream, rows, late)
        start, stop = rows[0].seq, rows[-1].seq + 1
        if len(payload) > self._max_bytes:
            self._losses.rejected(stream, start, stop)
            return stop
        self._send(stream, start, stop, payload, late)
        return stop

    async def _describe(self, meta_hash: str) -> bool:
        """Send the older description that rows need, unless it was sent; whether it was sent now."""
        described = self._context.lane.described
        if meta_hash == self._context.presence.description.meta_hash or meta_hash in described:
            return False
        described.add(meta_hash)
        sensors = await self._context.store.description(meta_hash)
        if not sensors:
            return False
        message = self._context.presence.description.message(sensors)
        self.announce(self._topics.older_meta(meta_hash), message, retain=False)
        return True

    def _encoded(self, stream: str, rows: list[Row], late: bool) -> tuple[list[Row], bytes]:
        """As many of the rows as a message may hold, at least one, and the message."""
        encoding = self._context.settings.encoding
        low_water = self._context.store.accounts[stream].low_water(rows[0].context.epoch)
        max_bytes = self._context.lane.poison.max_bytes(self._max_bytes, self._context.clocks.now_s())
        payload = wire.encode_batch(rows, low_water, late, encoding)
        while len(payload) > max_bytes and len(rows) > 1:
            rows = rows[: max(1, len(rows) * max_bytes // (2 * len(payload)))]
            payload = wire.encode_batch(rows, low_water, late, encoding)
        return rows, payload

    def _send(self, stream: str, start: int, stop: int, payload: bytes, late: bool) -> None:
        settings = self._context.settings
        squeezed = settings.compress == "zlib"
        if squeezed:
            payload = wire.compressed(payload)
        mid = self._link.publish(
            self._topics.stream(stream),
            payload,
            content_type=wire.CONTENT_TYPES[settings.encoding],
            encoding="zlib" if squeezed else "",
        )
        self.window.sent(mid, InFlight(stream, start, stop, len(payload), self._context.clocks.now_s(), late))
        self._context.store.times.mark_sent(stream, start, stop)
