"""What a driver is, and what passes between a driver and the agent.

A driver is a value: a :class:`SerialDriver` (a device on a serial port), a :class:`PollDriver` (something that is read
by a blocking call), or a driver of a device on a bus (:mod:`drivers.sdk.bus`: I2C, Modbus, 1-Wire) or on GPIO lines
(:mod:`drivers.sdk.gpio`). It opens nothing, reads no clock, and does not deal with reopening, partial reads,
timestamps, sequence numbers, topics or logs.

Its heart is a :class:`Decoder`: bytes in, measurements and rejections out, no I/O.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Literal, Protocol

from drivers.sdk.tables.limits import Limit, Lines
from drivers.sdk.tables.problem import Report

Value = float | int | str | bool | None
"""A measured value. ``None`` only together with a ``bad:`` entry in the measurement's ``q``."""

Kind = Literal["gauge", "counter", "state", "text"]

REASONS = frozenset(
    {"crc", "checksum", "parity", "format", "range", "rate", "warmup", "frozen", "timeout", "power", "unset"}
    | {"overload", "nofix", "motion", "device"}
)
"""Every reason that may stand behind ``uncertain:``, ``bad:`` or ``stale:``, and in :class:`Rejected`."""

NOTHING_DOUBTED: Mapping[str, str] = MappingProxyType({})
"""The ``q`` of a measurement without a doubtful value. All of them share it."""


FIELD_NAME = "(?!(?:t|q|ev|sev)$)[a-z][a-z0-9_]{0,31}"
"""The pattern of a field's name. The rows of a batch use some names themselves."""

FieldName = Annotated[
    str,
    Limit(
        pattern=FIELD_NAME,
        means="a-z, 0-9 and _, starting with a letter, at most 32 characters, and not t, q, ev or sev",
    ),
]


def is_field_name(name: str) -> bool:
    """Return whether a field may have this name."""
    return re.fullmatch(FIELD_NAME, name) is not None


@dataclass(frozen=True, slots=True)
class Field:
    """A measured quantity of a driver.

    ``unit``: a SenML name (RFC 8428, RFC 8798), or empty for text and states. ``resolution``: the step to which a value
    is rounded. ``min``, ``max``: what the device can report; a value outside is ``bad:range``.

    ``identifier``: the number of a card or a code. It leaves the gateway only as a keyed hash, unless the configuration
    allows more. ``personal``: the track of a person, for example. It leaves the gateway only from a sensor with
    ``personal = true``.
    """

    unit: str = ""
    kind: Kind = "gauge"
    resolution: float | None = None
    min: float | None = None
    max: float | None = None
    identifier: bool = False
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """The values of a frame. ``q``: the qualities of doubtful values, such as field -> ``uncertain:REASON``.

    ``event``: the name of an event (``seen``, ``gone``, ``on``, ``off``); if empty, the measurement is telemetry.
    """

    values: Mapping[str, Value]
    q: Mapping[str, str] = field(default_factory=lambda: NOTHING_DOUBTED)
    event: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A candidate for a frame that failed its check. It is only counted. ``reason``: a member of :data:`REASONS`."""

    reason: str


Item = Measurement | Rejected


class Decoder(Protocol):
    """Turns a device's bytes into items. Holds at most a bounded buffer. Never raises on any input."""

    skipped: int
    """How many bytes belonged to no frame."""

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        """Return the items that these bytes complete, in order. Bytes may come in chunks of any size.

        ``at_s``: seconds since the port was opened (monotonic), for warm-up rules.
        """

    def finish(self, at_s: float) -> list[Item]:
        """Return what is left after the line went quiet: a partial frame is dropped, but not what follows its start."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """The settings of a serial line, and the key ``line`` of a profile."""

    baud: Annotated[int, Limit(min=50, max=4_000_000)] = 9600
    parity: Annotated[str, Limit(choices=("N", "E", "O"))] = "N"
    stop_bits: Annotated[int, Limit(min=1, max=2)] = 1
    data_bits: Annotated[int, Limit(min=5, max=8)] = 8


@dataclass(frozen=True, slots=True)
class Option:
    """A key of ``[[sensor]]`` that only this driver knows.

    ``type``: ``line`` is a GPIO line, by its name or its offset. ``choices``: if there are any, the only values of a
    string. ``required``: a sensor without the key is an error.
    """

    type: Literal["int", "float", "str", "bool", "line"]
    default: Value = None
    doc: str = ""
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False


Options = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Page:
    """A driver's page, shown by ``gardu drivers NAME``, and the key ``page`` of a profile.

    ``example``: a ``[[sensor]]`` block in TOML.
    """

    about: Lines = ""
    wiring: Lines = ""
    pitfalls: tuple[Lines, ...] = ()
    example: Lines = ""


@dataclass(frozen=True, slots=True)
class Presence:
    """A device that repeats what is in front of it. Only the events ``seen`` and ``gone`` are published.

    ``key``: the fields that identify a thing; a measurement without the first of them means that nothing is there.
    ``gone_s``: after so many seconds without a measurement, the thing is gone.
    """

    key: tuple[str, ...]
    gone_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What every driver declares.

    ``period_s``: seconds between two measurements of a healthy device; 0: it sends only when something happens.

    ``table``: builds the driver to use, whose own ``table`` is None, from tables in the configuration itself (of
    ``serial_frame`` and other generic drivers; the zones of a radar). It is always called: with those of the sensor's
    keys ``table_keys`` that are there, the path of the sensor, and a report. It returns None after reporting an error.
    """

    name: str
    title: str
    source: str
    fields: Mapping[str, Field]
    period_s: float
    decoder: Callable[[Options], Decoder]
    options: Mapping[str, Option] = field(default_factory=dict)
    page: Page = Page()
    presence: Presence | None = None
    table: "Callable[[Mapping[str, object], str, Report], Driver | None] | None" = None
    table_keys: tuple[str, ...] = ()
    inline: bool = False
    """Whether the decoder may run on the event loop, because it is bounded, pure code of the project. Any other decoder
    runs in a thread of its sensor, so that it cannot block other sensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialDriver(Driver):
    """A device on a serial port.

    Without ``request``, it streams. With ``request``, it is polled: the bytes are written every ``interval_s``, or
    ``period_s`` if the configuration has none, and the answer must come within ``timeout_s``. ``setup``: written each
    time the port was opened, one after the other.
    """

    line: LineSettings = LineSettings()
    setup: tuple[bytes, ...] = ()
    request: bytes = b""
    timeout_s: float = 1.0


class Reader(Protocol):
    """Reads the raw bytes of a measurement. May block; runs in a thread of its sensor."""

    def read(self) -> bytes:
        """Return a raw answer, for the driver's decoder. Raises OSError when the device does not answer."""

    def close(self) -> None:
        """Release the device. Safe to call twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollDriver(Driver):
    """Something that is read by a blocking call every ``interval_s``. The decoder is fed whole answers."""

    reader: Callable[[Options], Reader]
    timeout_s: float = 5.0
