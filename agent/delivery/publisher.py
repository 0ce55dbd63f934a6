"""Publishes messages on one connection, with or without rows, within the connection's window."""

from agent.base.reading import Row
from agent.delivery import wire
from agent.delivery.context import Connection, DeliveryContext, Store
from agent.delivery.losses import Losses
from agent.delivery.policies.batching import first_message
from agent.delivery.window import InFlight, Window

_PACKET_OVERHEAD = 256
"""Bytes reserved for topic and properties below the broker's Maximum Packet Size."""


class Publisher:
    """Publishes on one connection. ``window``: the messages in flight."""

    def __init__(self, context: DeliveryContext[Store], link: Connection, losses: Losses, careful: bool) -> None:
        self._context = context
        self._link = link
        self._losses = losses
        self._topics = context.identity.topics
        self._max_bytes = min(wire.MAX_BATCH_BYTES, link.limits.packet_bytes - _PACKET_OVERHEAD)
        self.window = Window(link.limits.receive_maximum, careful)
        context.lane.sent_descriptions.clear()

    def fits(self, payload: bytes) -> bool:
        """Return whether the broker accepts a message of this size."""
        return len(payload) <= self._link.limits.packet_bytes - _PACKET_OVERHEAD

    def announce(self, topic: str, payload: bytes, retain: bool) -> int:
        """Publish a message without rows; return its id."""
        mid = self._link.publish(topic, payload, retain, wire.CONTENT_TYPES["json"])
        self.window.add(mid, InFlight("", 0, 0, len(payload), self._context.clocks.now_s(), late=False))
        return mid

    async def publish(self, stream: str, rows: list[Row], late: bool) -> int:
        """Publish the longest run of leading ``rows`` that fits one message; return the number after its last row (the
        first row's own number if an older description had to be sent first)."""
        rows = first_message(rows)
        if await self._describe(rows[0].context.meta_hash):
            return rows[0].seq
        rows, payload = self._encoded(stream, rows, late)
        start, stop = rows[0].seq, rows[-1].seq + 1
        if len(payload) > self._max_bytes:
            self._losses.settle_rejected(stream, start, stop)
            return stop
        self._send(stream, start, stop, payload, late)
        return stop

    async def _describe(self, meta_hash: str) -> bool:
        """Publish the older description that the rows need, unless already sent; return whether it was sent now."""
        sent = self._context.lane.sent_descriptions
        if meta_hash == self._context.identity.description.meta_hash or meta_hash in sent:
            return False
        sent.add(meta_hash)
        sensors = await self._context.store.description(meta_hash)
        if not sensors:
            return False
        message = self._context.identity.description.message(sensors)
        self.announce(self._topics.older_meta(meta_hash), message, retain=False)
        return True

    def _encoded(self, stream: str, rows: list[Row], late: bool) -> tuple[list[Row], bytes]:
        """Return as many rows as fit a message, at least one, and the message."""
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
        compress = settings.compress == "zlib"
        if compress:
            payload = wire.compress(payload)
        mid = self._link.publish(
            self._topics.stream(stream),
            payload,
            content_type=wire.CONTENT_TYPES[settings.encoding],
            encoding="zlib" if compress else "",
        )
        self.window.add(mid, InFlight(stream, start, stop, len(payload), self._context.clocks.now_s(), late))
        self._context.store.times.mark_sent(stream, start, stop)
