"""Time limits of delivery."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeliveryTimings:
    """Everything in seconds.

    ``ack_s``: a message not acknowledged within this time ends the connection, since MQTT resends nothing on a live
    one. ``streams_s``: interval between two ``streams`` messages, if they differ. ``repeat_state_s``: interval between
    two corrections of a ``state`` that somebody else overwrote. ``goodbye_s``: reserved for the last ``streams`` and
    ``state`` if there is not enough time to deliver everything. ``stable_s``: a session that lasted this long, or
    delivered something, was good. ``pause_s``, ``max_pause_s``: how long a stream that the broker refuses waits,
    doubled each time. ``small_s``: how long messages stay small after the broker closed the connection at larger ones.
    """

    ack_s: float = 20.0
    streams_s: float = 60.0
    repeat_state_s: float = 5.0
    goodbye_s: float = 0.7
    stable_s: float = 30.0
    pause_s: float = 30.0
    max_pause_s: float = 600.0
    small_s: float = 3600.0

    def paused_s(self, before: int) -> float:
        """Return how long a stream waits that was paused ``before`` times already."""
        return min(self.max_pause_s, self.pause_s * 2.0 ** min(before, 32))
