"""A catalog of two drivers, and a configuration that is right until a test changes it."""

from collections.abc import Collection

from agent.core.config import Parsed, parse
from drivers.sdk.contract import Decoder, Driver, Field, Option, Options, PollDriver, Reader, SerialDriver


def _no_decoder(options: Options) -> Decoder:
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
HOST = PollDriver(
    name="host",
    title="The gateway",
    source="made up",
    fields={"load": Field()},
    period_s=10.0,
    decoder=_no_decoder,
    reader=_no_reader,
)


class FakeCatalog:
    """Knows ``dust`` and ``host``, and a third one that cannot be loaded."""

    def names(self) -> Collection[str]:
        return ("dust", "host", "torn")

    def get(self, name: str) -> Driver:
        if name == "torn":
            raise ValueError("torn.toml: line 3 is not valid TOML")
        for driver in (DUST, HOST):
            if driver.name == name:
                return driver
        raise LookupError(name)


MINIMAL = """
[gateway]
id = "batua-01"
site = "batua"
field = "health"

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
