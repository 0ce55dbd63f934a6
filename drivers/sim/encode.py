"""The decoder run backwards: what a device would have sent for given values."""

import struct
from collections.abc import Mapping

from drivers.sdk.contract import Value
from drivers.sdk.framing import LengthField
from drivers.sdk.profile import Profile
from drivers.sdk.profile_frame import Column, FrameSpec
from drivers.sdk.profile_line import LineSpec


def encode(profile: Profile, values: Mapping[str, Value]) -> bytes:
    """A whole frame or line that carries ``values``; fields not given are the profile's typical ones."""
    merged = {**profile.sim.values, **values}
    if isinstance(profile.spec, FrameSpec):
        return _encode_frame(profile.spec, _first_good(profile), merged)
    return _encode_line(profile.spec, profile.sim.template, merged)


def _first_good(profile: Profile) -> bytes:
    """The bytes that a profile does not speak of stay as in its first example."""
    return next((example.raw for example in profile.examples if not example.reject), b"")


def _encode_frame(spec: FrameSpec, model: bytes, values: Mapping[str, Value]) -> bytes:
    length = spec.frame.length.least if isinstance(spec.frame.length, LengthField) else spec.frame.length
    frame = bytearray(model or bytes(length))
    frame[: len(spec.frame.sync)] = spec.frame.sync
    if isinstance(spec.frame.length, LengthField):
        field = spec.frame.length
        struct.pack_into(field.format, frame, field.at, len(frame) - field.add)
    for column in spec.columns:
        if column.name in values:
            struct.pack_into(column.format, frame, column.at, _raw(column, values[column.name]))
    if spec.frame.tail:
        frame[-len(spec.frame.tail) :] = spec.frame.tail
    if check := spec.frame.check:
        total = check.sum.compute(bytes(frame[check.start : check.end]))
        frame[check.place] = total.to_bytes(check.sum.size, "little" if check.sum.order == "little" else "big")
    return bytes(frame)


def _raw(column: Column, value: Value) -> float:
    if column.words is not None:
        return next(number for number, word in column.words.items() if word == value)
    if not isinstance(value, (int, float)):
        raise TypeError(f"{column.name} is a number on the wire, not {value!r}")
    raw = (value - column.offset) / column.scale
    return raw if column.format[-1] in "fd" else round(raw)


def _encode_line(spec: LineSpec, template: str, values: Mapping[str, Value]) -> bytes:
    words: dict[str, Value] = dict(values)
    for field in spec.fields:
        if field.words is not None and field.name in values:
            words[field.name] = next(text for text, word in field.words.items() if word == values[field.name])
    return template.format(**words).encode("latin-1")
