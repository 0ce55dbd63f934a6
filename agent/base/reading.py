"""A reading is a timestamped measurement on its way into the store; a row is the same on its way out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack

AGENT = "_agent"
"""The agent's own sensor: its health and its events."""


def telemetry(sensor: str) -> str:
    """Return the name of the stream of a sensor's readings."""
    return f"telemetry/{sensor}"


def event(sensor: str) -> str:
    """Return the name of the stream of a sensor's events."""
    return f"event/{sensor}"


class Stamp(NamedTuple):
    """When something was measured: Unix milliseconds, milliseconds since boot, and how far the first can be trusted
    (``cq`` of the wire contract: 0 never set, 1 plausible, 2 NTP, 3 GNSS)."""

    t: int
    mono_ms: int
    clock_quality: int


class Context(NamedTuple):
    """What all rows of one message share: epoch, boot, clock quality, description."""

    epoch: str
    boot_id: str
    clock_quality: int
    meta_hash: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A measurement with its time. ``meta_hash``: the description it was measured under. ``body``: MessagePack of the
    row's map without its ``t``. ``urgent``: it skips group commit and batching."""

    stream: str
    stamp: Stamp
    meta_hash: str
    body: bytes
    urgent: bool = False


class Row(NamedTuple):
    """A durable reading with its number."""

    seq: int
    t: int
    mono_ms: int
    context: Context
    body: bytes


class CommittedRange(NamedTuple):
    """What a commit made durable in one stream: the numbers ``[start, stop)``, and ``mono_ms`` of the first."""

    start: int
    stop: int
    mono_ms: int
    urgent: bool


def packed(value: Mapping[str, Any]) -> bytes:
    """Return a map as MessagePack, in the form in which the store keeps a row's body."""
    result: bytes = msgpack.packb(value, use_bin_type=True)
    return result


def missing(rows: Sequence[Row], start: int, stop: int) -> list[tuple[int, int]]:
    """Return the ranges of ``[start, stop)`` that ``rows`` lacks."""
    holes = []
    for row in rows:
        if row.seq > start:
            holes.append((start, row.seq))
        start = row.seq + 1
    if start < stop:
        holes.append((start, stop))
    return holes
