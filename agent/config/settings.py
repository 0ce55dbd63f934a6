"""The configuration as values: a dataclass for each table of ``gardu.toml``.

Names, types and defaults are those of the file; the annotation of a field says what its value may be. Parsing
(:mod:`agent.config.parse`), the JSON Schema (``config/gardu.schema.json``) and the key tables of
``docs/configuration.md`` are derived from these types. :mod:`agent.config.key_texts` says what each key means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from drivers.sdk.contract import FieldName, Value
from drivers.sdk.tables.limits import Limit, Lines

Name = Annotated[
    str, Limit(pattern="[a-z0-9][a-z0-9-]{0,31}", means="a-z, 0-9 and -, at most 32 characters, not starting with -")
]
Root = Annotated[
    str, Limit(pattern="[^/+#\\s$][^/+#\\s]*(/[^/+#\\s]+)*", means="one or more levels, without +, # or spaces")
]
Url = Annotated[str, Limit(pattern="mqtts?://\\S+", means="mqtt://host:port or mqtts://host:port")]
Zone = Annotated[str, Limit(pattern="[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", means="a time zone such as Asia/Makassar")]


@dataclass(frozen=True, slots=True)
class Gateway:
    id: Name
    site: Name
    sector: Literal["health", "security", "mobility"]
    root: Root = "makassar"
    name: str = ""
    lat: Annotated[float, Limit(min=-90, max=90)] | None = None
    lon: Annotated[float, Limit(min=-180, max=180)] | None = None
    timezone: Zone = "Asia/Makassar"


@dataclass(frozen=True, slots=True)
class Broker:
    url: Url | tuple[Url, ...]
    username: str = ""
    password_file: str = ""
    allow_plain_password: bool = False
    ca_file: str = ""
    ca_pem: Lines = ""
    cert_file: str = ""
    key_file: str = ""
    keepalive_s: Annotated[int, Limit(min=5, max=3600)] = 60
    protocol: Literal["auto", "5", "3.1.1"] = "auto"

    @property
    def urls(self) -> tuple[str, ...]:
        """The brokers in the order in which they are tried."""
        return (self.url,) if isinstance(self.url, str) else self.url


@dataclass(frozen=True, slots=True)
class Publish:
    encoding: Literal["msgpack", "json"] = "msgpack"
    compress: Literal["none", "zlib"] = "none"
    max_delay_s: Annotated[float, Limit(min=0, max=3600)] = 5.0
    max_rows: Annotated[int, Limit(min=1, max=5000)] = 250
    backlog_rows_per_s: Annotated[int, Limit(min=1, max=1_000_000)] = 5000
    budget_bytes_per_day: Annotated[int, Limit(min=0)] = 0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    path: str = "store.db"
    max_bytes: Annotated[int, Limit(min=262_144)] = 268_435_456
    max_age_days: Annotated[float, Limit(min=0.01, max=3650)] = 30.0
    commit_s: Annotated[float, Limit(min=0, max=600)] = 2.0


@dataclass(frozen=True, slots=True)
class ClockSettings:
    grace_s: Annotated[float, Limit(min=0, max=86_400)] = 600.0
    source: str = "system"


@dataclass(frozen=True, slots=True)
class Web:
    listen: str = ""
    token_file: str = ""


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    key_file: str = ""
    identifiers: Literal["hmac", "none", "plain"] = "hmac"


@dataclass(frozen=True, slots=True)
class Commands:
    allow: tuple[Literal["restart", "output", "flush"], ...] = ()
    signed: bool = True


@dataclass(frozen=True, slots=True)
class Bus:
    id: Name
    port: str
    baud: Annotated[int, Limit(min=50, max=4_000_000)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


@dataclass(frozen=True, slots=True)
class Calibrate:
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Sensor:
    """``options`` holds the keys that only the sensor's driver knows, checked against its declaration."""

    id: Name
    driver: str
    port: str = ""
    bus: str = ""
    unit: Annotated[int, Limit(min=0, max=255)] | None = None
    i2c_bus: Annotated[int, Limit(min=0, max=255)] | None = None
    address: Annotated[int, Limit(min=0, max=1023)] | None = None
    w1: str = ""
    chip: str = ""
    line: str | Annotated[int, Limit(min=0)] = ""
    active_low: bool = False
    debounce_ms: Annotated[float, Limit(min=0, max=10_000)] | None = None
    baud: Annotated[int, Limit(min=50, max=4_000_000)] | None = None
    parity: Literal["N", "E", "O"] | None = None
    stop_bits: Literal[1, 2] | None = None
    interval_s: Annotated[float, Limit(min=0, max=86_400)] | None = None
    aggregate: Literal["last", "mean", "min", "max", "all", "on_change"] = "last"
    deadband: Mapping[FieldName, float] = field(default_factory=dict)
    heartbeat_s: Annotated[float, Limit(min=0, max=86_400)] = 0.0
    calibrate: Mapping[FieldName, Calibrate] = field(default_factory=dict)
    label: str = ""
    # In the long run: ten times the rate of the fastest device that the project knows.
    max_rows_per_s: Annotated[float, Limit(min=0.01, max=1_000_000)] = 100.0
    required: bool = True
    personal: bool = False
    options: Mapping[str, Value] = field(default_factory=dict, metadata={"in_file": False})


@dataclass(frozen=True, slots=True)
class Alarm:
    id: Name
    sensor: str
    field: FieldName = ""
    above: float | None = None
    below: float | None = None
    equal: float | str | bool | None = None
    stale_s: Annotated[float, Limit(min=0)] | None = None
    for_s: Annotated[float, Limit(min=0)] = 0.0
    clear: float | None = None
    mode: Literal["continuous", "cumulative"] = "continuous"
    severity: Literal["info", "warn", "alarm"] = "warn"
    output: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    gateway: Gateway
    broker: Broker
    publish: Publish = Publish()
    store: StoreSettings = StoreSettings()
    clock: ClockSettings = ClockSettings()
    web: Web = Web()
    privacy: PrivacySettings = PrivacySettings()
    commands: Commands = Commands()
    bus: tuple[Bus, ...] = ()
    sensor: tuple[Sensor, ...] = ()
    alarm: tuple[Alarm, ...] = ()
