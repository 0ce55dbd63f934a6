"""Readings and rows for the tests of the store."""

from agent.base.reading import Context, Reading, Row, Stamp

NOW = Stamp(1_795_000_000_000, 5_000, 1)
A, B, DOOR, OWN = "telemetry/a", "telemetry/b", "event/door-1", "event/_agent"


def reading(stream: str = A, mono_ms: int = 5_000, *, urgent: bool = False) -> Reading:
    return Reading(stream, Stamp(NOW.t, mono_ms, 1), "mh000000", b"\x80", urgent)


def row(seq: int, epoch: str = "aaaaaaaa") -> Row:
    return Row(seq, NOW.t, 0, Context(epoch, "b0070000", 1, "mh000000"), b"\x80")
