"""Protects personal data: identifiers leave the gateway as keyed hashes, tracks only if the sensor allows it. No I/O.

Law 27/2022 of Indonesia on the protection of personal data: whatever identifies a person, alone or together with other
data, is personal.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

from drivers.sdk.contract import Field, Measurement, Value

HASH_DIGITS = 16
KEY_BYTES = 32

Mode = Literal["hmac", "none", "plain"]


def pseudonym(key: bytes, value: Value) -> str:
    """Return the first 16 hex digits of the HMAC-SHA-256 of an identifier: the same card gives the same value at this
    site, and nobody without the key can find the card."""
    return hmac.new(key, str(value).encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


class PrivacyFilter:
    """Filters one sensor's fields. ``personal``: the sensor may publish what people do."""

    def __init__(self, fields: Mapping[str, Field], mode: Mode, key: bytes, personal: bool) -> None:
        self._identifiers = frozenset(name for name, field in fields.items() if field.identifier)
        self._dropped = frozenset(
            name
            for name, field in fields.items()
            if (field.personal and not personal) or (field.identifier and mode == "none")
        )
        self._mode = mode
        self._key = key
        self.is_noop = not self._dropped and (mode == "plain" or not self._identifiers)
        """True if nothing is ever changed."""

    def apply(self, measurement: Measurement) -> Measurement:
        """Return the measurement as it may leave the gateway."""
        if self.is_noop:
            return measurement
        values = {
            name: self._masked(name, value) for name, value in measurement.values.items() if name not in self._dropped
        }
        q = {name: doubt for name, doubt in measurement.q.items() if name not in self._dropped}
        return Measurement(values, q, measurement.event)

    def _masked(self, name: str, value: Value) -> Value:
        if name in self._identifiers and self._mode == "hmac" and value is not None:
            return pseudonym(self._key, value)
        return value


def published_fields(fields: Mapping[str, Field], mode: Mode, personal: bool) -> dict[str, Field]:
    """Return the fields as published, for ``meta``: without dropped fields, and with hashes as text."""
    result: dict[str, Field] = {}
    for name, field in fields.items():
        if (field.personal and not personal) or (field.identifier and mode == "none"):
            continue
        result[name] = Field(kind="text", identifier=True) if field.identifier and mode == "hmac" else field
    return result
