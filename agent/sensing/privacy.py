"""What may be said of people: identifiers leave the gateway as keyed hashes, tracks only where a sensor may. Pure.

Law 27/2022 of Indonesia on the protection of personal data: what identifies a person, alone or together with
other data, is personal.
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
    """HMAC-SHA-256 of an identifier, the first 16 hex digits: the same card is the same at this site, and nobody
    without the key finds the card."""
    return hmac.new(key, str(value).encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


class PrivacyFilter:
    """How one sensor's fields are kept. ``personal``: the sensor may tell what people do."""

    def __init__(self, fields: Mapping[str, Field], mode: Mode, key: bytes, personal: bool) -> None:
        self._identifiers = frozenset(name for name, field in fields.items() if field.identifier)
        self._dropped = frozenset(
            name
            for name, field in fields.items()
            if (field.personal and not personal) or (field.identifier and mode == "none")
        )
        self._mode = mode
        self._key = key
        self.idle = not self._dropped and (mode == "plain" or not self._identifiers)
        """Whether nothing is ever changed."""

    def on(self, measurement: Measurement) -> Measurement:
        """The measurement as it may leave the gateway."""
        if self.idle:
            return measurement
        values = {
            name: self._kept(name, value) for name, value in measurement.values.items() if name not in self._dropped
        }
        q = {name: doubt for name, doubt in measurement.q.items() if name not in self._dropped}
        return Measurement(values, q, measurement.event)

    def _kept(self, name: str, value: Value) -> Value:
        if name in self._identifiers and self._mode == "hmac" and value is not None:
            return pseudonym(self._key, value)
        return value


def published(fields: Mapping[str, Field], mode: Mode, personal: bool) -> dict[str, Field]:
    """The fields as they are published, for ``meta``: without what is dropped, hashes as text."""
    kept: dict[str, Field] = {}
    for name, field in fields.items():
        if (field.personal and not personal) or (field.identifier and mode == "none"):
            continue
        kept[name] = Field(kind="text", identifier=True) if field.identifier and mode == "hmac" else field
    return kept
