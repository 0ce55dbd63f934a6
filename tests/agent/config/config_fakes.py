"""A catalog of one driver of each kind, and a configuration that is right until a test changes it."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from agent.config.parse import Parsed, parse
from drivers.sdk.bus import I2cDevice, I2cDriver, I2cPort, ModbusDecoder, ModbusDriver, ModbusRead, W1Driver
from drivers.sdk.contract import Decoder, Driver, Field, Option, Options, PollDriver, Reader, SerialDriver
from drivers.sdk.gpio import EdgeDecoder, GpioDriver
from drivers.sdk.tables.problem import Report


def _no_decoder(options: Options) -> Decoder:
    raise AssertionError("a configuration is checked without a decoder")


def _no_modbus(options: Options) -> ModbusDecoder:
    raise AssertionError("a configuration is checked without a decoder")


def _no_i2c(port: I2cPort, address: int, options: Options) -> I2cDevice:
    raise AssertionError("a configuration is checked without a device")


def _no_edges(options: Options) -> EdgeDecoder:
    raise AssertionError("a configuration is checked without a decoder")


def _no_reader(options: Options) -> Reader:
    raise AssertionError("a configuration is checked without a device")


DUST = SerialDriver(
    name="dust",
    title="Dust sensor",
    source="made up",
    fields={"pm2_5": Field(unit="ug/m3"), "pm10": Field(unit="ug/m3")},
    period_s=1.0,
    decoder=_no_decoder,
    options={
        "angle_deg": Option("float", default=0.0, min=0, max=90),
        "mode": Option("str", default="fast"),
        "gate": Option("int"),
        "inverted": Option("bool", default=False),
    },
)
RECEIVER = replace(DUST, name="receiver", fields={"utc": Field("", "text"), "date": Field("", "text")}, options={})
HOST = PollDriver(
    name="host",
    title="The gateway",
    source="made up",
    fields={"load": Field()},
    period_s=10.0,
    decoder=_no_decoder,
    reader=_no_reader,
)


METER = ModbusDriver(
    name="meter",
    title="Meter",
    source="made up",
    fields={"voltage": Field("V")},
    period_s=10.0,
    decoder=_no_modbus,
    reads=(ModbusRead(4, 0, 2),),
)
NETWORK_METER = replace(METER, name="network_meter", tcp=True)
CLIMATE = I2cDriver(
    name="climate",
    title="Climate",
    source="made up",
    fields={"temp": Field("Cel")},
    period_s=10.0,
    decoder=_no_decoder,
    open=_no_i2c,
    address=0x44,
    addresses=(0x44, 0x45),
)
PROBE = W1Driver(
    name="probe",
    title="Probe",
    source="made up",
    fields={"temp": Field("Cel")},
    period_s=60.0,
    decoder=_no_decoder,
    families=("28",),
)
CONTACT = GpioDriver(
    name="contact",
    title="Contact",
    source="made up",
    fields={"state": Field(kind="state")},
    period_s=0.0,
    edges=_no_edges,
)
GATE = replace(
    CONTACT,
    name="gate",
    lines=("a", "b"),
    options={
        "line_a": Option("line", required=True),
        "line_b": Option("line", required=True),
        "bias": Option("str", default="as_is", choices=("as_is", "pull_up")),
    },
)


def _build(tables: Mapping[str, object], path: str, report: Report) -> Driver | None:
    frame = tables.get("frame")
    if not isinstance(frame, dict) or "sync" not in frame:
        report.missing_key(f"{path}.frame.sync", "bytes")
        return None
    return replace(DUST, name="generic", fields={"level": Field("mm")}, table=None)


GENERIC = replace(DUST, name="generic", fields={}, options={}, table=_build, table_keys=("frame", "fields"))
_INSTALLED = (DUST, RECEIVER, HOST, METER, NETWORK_METER, CLIMATE, PROBE, CONTACT, GATE, GENERIC)
_KNOWN = {driver.name: driver for driver in _INSTALLED}


class FakeCatalog:
    """Knows one driver of each kind, and one that cannot be loaded."""

    def names(self) -> Collection[str]:
        return (*_KNOWN, "torn")

    def stamp(self) -> object:
        return 0

    def get(self, name: str) -> Driver:
        if name == "torn":
            raise ValueError("torn.toml: line 3 is not valid TOML")
        return _KNOWN[name]


MINIMAL = """
[gateway]
id = "batua-01"
site = "batua"
sector = "health"

[broker]
url = "mqtts://broker.example:8883"
"""

SENSOR = """
[[sensor]]
id = "air-1"
driver = "dust"
port = "/dev/ttyUSB0"
"""


def parsed(*parts: str) -> Parsed:
    """What comes of the parts, one after the other."""
    return parse("\n".join(parts).encode(), FakeCatalog())


def found(*parts: str) -> list[tuple[str, str]]:
    """Path and code of each error."""
    return [(item.path, item.code) for item in parsed(*parts).problems if item.level == "error"]


def warned(*parts: str) -> list[tuple[str, str]]:
    """Path and code of each warning."""
    return [(item.path, item.code) for item in parsed(*parts).problems if item.level == "warning"]
