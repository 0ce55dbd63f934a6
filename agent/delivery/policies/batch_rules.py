"""The wire contract's rules for names and rows: a subscriber accepts nothing else from a publisher. No I/O."""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, TypeGuard

from agent.delivery.wire import Batch, WireError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_STREAM = re.compile(r"(telemetry|event)/([a-z0-9][a-z0-9-]{0,31}|_agent)")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,31}")
_EPOCH = re.compile(r"[0-9a-f]{8}")
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
_MAX_NUMBER = 2**53
_MAX_INTEGER = 2**64
_MAX_DEPTH = 4


def is_name(value: object) -> TypeGuard[str]:
    """Return whether this is a valid name of a gateway or a site."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def is_stream(value: object) -> TypeGuard[str]:
    """Return whether this is ``telemetry/{sensor}`` or ``event/{sensor}``."""
    return isinstance(value, str) and _STREAM.fullmatch(value) is not None


def is_epoch(value: object) -> TypeGuard[str]:
    """Return whether this is an epoch: 8 hex digits."""
    return isinstance(value, str) and _EPOCH.fullmatch(value) is not None


def is_sequence_number(value: object) -> TypeGuard[int]:
    """Return whether this can be the number of a row, or the number after the last."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_NUMBER


def check_batch(batch: Batch) -> None:
    """Raise :class:`~agent.delivery.wire.WireError` for an epoch, a number, a time or a field that no gateway sends."""
    if not is_epoch(batch.epoch):
        raise WireError("ep")
    if not is_sequence_number(batch.low_water) or not 0 <= batch.seq <= _MAX_NUMBER - len(batch.rows):
        raise WireError("seq or lo")
    for row in batch.rows:
        if not 0 <= row["t"] <= _LAST_MS:
            raise WireError("t")
        if not isinstance(row.get("q", {}), dict) or not all(
            _FIELD.fullmatch(key) and _plain(value, 0) for key, value in row.items()
        ):
            raise WireError("a field")


def _plain(value: Any, depth: int) -> bool:
    """Return whether JSON and MessagePack both support this value, and its depth is bounded."""
    if value is None or isinstance(value, str | bool):
        return True
    if isinstance(value, int | float):
        return isfinite(value) if isinstance(value, float) else abs(value) <= _MAX_INTEGER
    if depth >= _MAX_DEPTH:
        return False
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _plain(item, depth + 1) for key, item in value.items())
    return (
        isinstance(value, Sequence) and not isinstance(value, bytes) and all(_plain(item, depth + 1) for item in value)
    )
