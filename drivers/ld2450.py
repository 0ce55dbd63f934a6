"""Hi-Link HLK-LD2450 tracking radars: up to three people, as counts and counts by zone.

Source: Hi-Link, HLK-LD2450 serial communication protocol, 2.3: AA FF 03 00, three targets of eight bytes (x, y, speed,
resolution, low byte first), 55 CC. x, y and speed are sign and magnitude, with the highest bit SET for positive
numbers; not two's complement.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated

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
)
from drivers.sdk.framing import FrameDecoder, FrameError, FrameFormat
from drivers.sdk.tables.limits import Limit
from drivers.sdk.tables.problem import Report, join
from drivers.sdk.tables.reader import parse_table

_FRAME = FrameFormat(sync=bytes.fromhex("AA FF 03 00"), length=30, tail=bytes.fromhex("55 CC"))
_TARGETS = 3
_TARGET = struct.Struct("<HHHH")
_HEAD_BYTES = 4
_POSITIVE = 0x8000
_MAX_MM = 8000
_MAX_CM_S = 2000
_MAX_ZONES = 8

ZoneName = Annotated[str, Limit(pattern="[a-z0-9_]{1,27}", means="a-z, 0-9 and _, at most 27 characters")]
Corners = Annotated[tuple[float, ...], Limit(min=4, max=4, means="two corners in mm: [x, y, x, y]")]
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


@dataclass(frozen=True, slots=True)
class ZoneTables:
    """The tables of the sensor itself."""

    zones: Annotated[Mapping[ZoneName, Corners], Limit(max=_MAX_ZONES, means="a table with at most 8 zones")] = field(
        default_factory=dict
    )


def _build(tables: Mapping[str, object], path: str, report: Report) -> Driver | None:
    """Return the driver with a field for each zone of ``[sensor.zones]``."""
    parsed = parse_table(ZoneTables, tables, path, report)
    if not report.sound(join(path, "zones")):
        return None
    zones = {
        f"zone_{name}": (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        for name, (x1, y1, x2, y2) in parsed.zones.items()
    }
    counts = {name: Field("count", resolution=1, min=0, max=_TARGETS) for name in zones}
    return replace(
        DRIVER, fields={**DRIVER.fields, **counts}, decoder=partial(_decoder, zones=zones), table=None, table_keys=()
    )


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
    table=_build,
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
