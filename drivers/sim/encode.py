"""The inverse of the profile decoders: the bytes that a device would have sent for given values."""

import struct
from collections.abc import Mapping

from drivers.sdk.contract import Value
from drivers.sdk.framing import LengthField
from drivers.sdk.modbus import answer
from drivers.sdk.profiles.columns import Column
from drivers.sdk.profiles.frames import FrameSpec
from drivers.sdk.profiles.i2c import I2cSpec, checked
from drivers.sdk.profiles.line_decoding import LineSpec
from drivers.sdk.profiles.modbus import RegisterSpec, content
from drivers.sdk.profiles.profile import Profile


def encode(profile: Profile, values: Mapping[str, Value]) -> bytes:
    """Return a complete frame, line or answer with ``values``; other fields have the profile's typical values.

    For a Modbus device: the answers to all its reads, concatenated, from unit 1.
    """
    merged = {**profile.sim.values, **values}
    spec = profile.spec
    if isinstance(spec, FrameSpec):
        return _encode_frame(spec, _first_good(profile), merged)
    if isinstance(spec, RegisterSpec):
        return b"".join(answer(1, read, data) for read, data in zip(spec.reads, contents(spec, merged), strict=True))
    if isinstance(spec, I2cSpec):
        return _encode_block(spec, merged)
    assert isinstance(spec, LineSpec)
    return _encode_line(spec, profile.sim.template, merged)


def contents(spec: RegisterSpec, values: Mapping[str, Value]) -> list[bytes]:
    """Return the content of the answer to each of the reads."""
    raw = {
        register.column.name: _pack(register.column, values[register.column.name])
        for register in spec.registers
        if register.column.name in values
    }
    return [content(spec, number, raw) for number in range(len(spec.reads))]


def _first_good(profile: Profile) -> bytes:
    """Return the first good example: bytes that the profile does not describe stay as in it."""
    return next((example.raw for example in profile.examples if not example.reject), b"")


def _encode_frame(spec: FrameSpec, model: bytes, values: Mapping[str, Value]) -> bytes:
    length = spec.frame.length.min_ if isinstance(spec.frame.length, LengthField) else spec.frame.length
    frame = bytearray(model or bytes(length))
    frame[: len(spec.frame.sync)] = spec.frame.sync
    if isinstance(spec.frame.length, LengthField):
        field = spec.frame.length
        struct.pack_into(field.format, frame, field.at, len(frame) - field.add)
    for column in spec.columns:
        if column.name in values:
            frame[column.at : column.end] = _pack(column, values[column.name])
    if spec.frame.tail:
        frame[-len(spec.frame.tail) :] = spec.frame.tail
    if check := spec.frame.check:
        total = check.sum.compute(bytes(frame[check.start : check.end]))
        frame[check.place] = total.to_bytes(check.sum.size, "little" if check.sum.order == "little" else "big")
    return bytes(frame)


def _encode_block(spec: I2cSpec, values: Mapping[str, Value]) -> bytes:
    block = bytearray(spec.length // 3 * 2 if spec.word_check else spec.length)
    for column in spec.columns:
        if column.name in values:
            block[column.at : column.end] = _pack(column, values[column.name])
    return checked(bytes(block), spec.word_check) if spec.word_check else bytes(block)


def _pack(column: Column, value: Value) -> bytes:
    return struct.pack(column.format, _raw(column, value))


def _raw(column: Column, value: Value) -> float:
    if column.words is not None:
        return next(number for number, word in column.words.items() if word == value)
    if not isinstance(value, (int, float)):
        raise TypeError(f"{column.name} is a number on the wire, not {value!r}")
    raw = (value - column.offset) * column.divisor / column.scale
    return raw if column.format[-1] in "fd" else round(raw)


def _encode_line(spec: LineSpec, template: str, values: Mapping[str, Value]) -> bytes:
    words: dict[str, Value] = dict(values)
    for field in spec.fields:
        if field.words is not None and field.name in values:
            words[field.name] = next(text for text, word in field.words.items() if word == values[field.name])
    return template.format(**words).encode("latin-1")
