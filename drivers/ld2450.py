"""Hi-Link HLK-LD2450 tracking radars: up to three people, as counts and counts by zone.

Source: Hi-Link, HLK-LD2450 serial communication protocol, 2.3: AA FF 03 00, three targets of eight bytes (x, y, speed,
resolution, low byte first), 55 CC. x, y and speed are sign and magnitude, with the highest bit SET for positive
numbers; not two's complement.
"""

import struct
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from drivers.sdk.contract import (
    Decoder,
    Driver,
    Field,
    LineSettings,
    Measurement,
    Options,
    Page,
    SerialDriver,
    Value,
    is_field_name,
)
from drivers.sdk.framing import FrameDecoder, FrameError, FrameFormat
from drivers.sdk.profile_table import ProfileError, ProfileProblem, Table

_FRAME = FrameFormat(sync=bytes.fromhex("AA FF 03 00"), length=30, tail=bytes.fromhex("55 CC"))
_TARGETS = 3
_TARGET = struct.Struct("<HHHH")
_HEAD_BYTES = 4
_POSITIVE = 0x8000
_MAX_MM = 8000
_MAX_CM_S = 2000
_MAX_ZONES = 8

Zones = Mapping[str, tuple[float, float, float, float]]
"""Rectangles of the floor by the field that counts the people in them: x and y of two corners, in mm."""


def signed(raw: int) -> int:
    """Decode a word whose highest bit is set for positive numbers."""
    return raw - _POSITIVE if raw & _POSITIVE else -raw


def decode(frame: bytes, at_s: float, zones: Zones) -> Measurement:
    """Decode the targets in a frame. Raises FrameError for values that no radar sends."""
    values: dict[str, Value] = {"targets": 0}
    positions = []
    for number in range(_TARGETS):
        words = _TARGET.unpack_from(frame, _HEAD_BYTES + number * _TARGET.size)
        if not any(words):
            continue
        x, y, speed = (signed(word) for word in words[:3])
        if abs(x) > _MAX_MM or not 0 <= y <= _MAX_MM or abs(speed) > _MAX_CM_S:
            raise FrameError("format")
        positions.append((x, y))
        values.update({f"x{number + 1}": x, f"y{number + 1}": y, f"speed{number + 1}": speed})
    values["targets"] = len(positions)
    for name, (left, near, right, far) in zones.items():
        values[name] = sum(left <= x <= right and near <= y <= far for x, y in positions)
    return Measurement(values)


def _decoder(options: Options, zones: Zones | None = None) -> Decoder:
    return FrameDecoder(_FRAME, partial(decode, zones=zones or {}))


def _tabled(tables: Mapping[str, object]) -> Driver:
    """Return the driver with a field for each zone of ``[sensor.zones]``."""
    problems: list[ProfileProblem] = []
    table = Table(tables, "", problems).table("zones")
    zones: dict[str, tuple[float, float, float, float]] = {}
    for key in table.keys()[:_MAX_ZONES]:
        name, corners = f"zone_{key}", table.raw(key)
        if not is_field_name(name):
            table.wrong(
                key,
                "not a field name: use a-z, 0-9 and _, starting with a letter, at most 32 "
                "characters, and not t, q, ev or sev",
            )
        elif isinstance(corners, list) and len(corners) == 4 and all(_is_number(each) for each in corners):
            x1, y1, x2, y2 = (float(each) for each in corners)
            zones[name] = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
        else:
            shown = repr(corners)[:40]
            table.wrong(key, "{value} is not {wanted}", value=shown, wanted="two corners in mm: [x, y, x, y]")
    for key in table.keys()[_MAX_ZONES:]:
        table.wrong(key, "at most {most} zones", most=_MAX_ZONES)
    if problems:
        raise ProfileError(DRIVER.name, problems)
    counts = {name: Field("count", resolution=1, min=0, max=_TARGETS) for name in zones}
    return replace(
        DRIVER, fields={**DRIVER.fields, **counts}, decoder=partial(_decoder, zones=zones), table=None, table_keys=()
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _tracks() -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for number in range(1, _TARGETS + 1):
        fields[f"x{number}"] = Field("mm", resolution=1, min=-_MAX_MM, max=_MAX_MM, personal=True)
        fields[f"y{number}"] = Field("mm", resolution=1, min=0, max=_MAX_MM, personal=True)
        fields[f"speed{number}"] = Field("cm/s", resolution=1, min=-_MAX_CM_S, max=_MAX_CM_S, personal=True)
    return fields


DRIVER = SerialDriver(
    name="ld2450",
    title="Hi-Link HLK-LD2450 tracking radar",
    source="Hi-Link, HLK-LD2450 serial communication protocol, 2.3",
    fields={"targets": Field("count", resolution=1, min=0, max=_TARGETS), **_tracks()},
    period_s=0.1,
    decoder=_decoder,
    inline=True,
    line=LineSettings(256_000),
    table=_tabled,
    table_keys=("zones",),
    page=Page(
        about="Counts up to three people, in total and in zones of the floor: x to the right, y away from the radar,\n"
        "in mm. Individual tracks leave the gateway only from a sensor with personal = true. It sends ten\n"
        "frames a second: set interval_s.",
        wiring="5 V (200 mA) and GND; its serial lines are 3.3 V: TX to RXD of the gateway, RX to TXD.",
        pitfalls=(
            "256,000 baud is an unusual rate: use a USB adapter or ttyAMA0, not the mini UART (ttyS0).",
            "Frames have no checksum: they are validated by start and end bytes and value ranges.",
            "Mount it 1.5 to 2 m high, aimed horizontally; a person hides those behind.",
        ),
        example='[[sensor]]\nid = "stop-1"\ndriver = "ld2450"\n'
        'port = "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"\ninterval_s = 10\n\n'
        "[sensor.zones]\nbench = [-1500, 500, 1500, 2000]\nkerb = [-3000, 2000, 3000, 4000]\n",
    ),
)
