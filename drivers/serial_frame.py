"""Any device on a serial port whose frames are a table of bytes, the table standing in the configuration.

Source: the keys of a profile (docs/drivers.md), kind ``serial_frame``.
"""

from collections.abc import Mapping

from drivers.sdk.contract import Driver, Page, SerialDriver
from drivers.sdk.framing import LineDecoder
from drivers.sdk.profiles.profile import build_from_tables, table_keys
from drivers.sdk.tables.problem import Report


def _build(tables: Mapping[str, object], path: str, report: Report) -> Driver | None:
    return build_from_tables("serial_frame", DRIVER, tables, path, report)


DRIVER = SerialDriver(
    name="serial_frame",
    title="Any serial device with binary frames, described in the configuration",
    source="docs/drivers.md, the keys of a profile of the kind serial_frame",
    fields={},
    period_s=1.0,
    decoder=lambda options: LineDecoder(lambda line, at_s: None),
    table=_build,
    table_keys=table_keys("serial_frame"),
    page=Page(
        about="For a device that has no profile: what its frames look like stands in the sensor itself, with the\n"
        "keys of a profile. A device that is used twice is better a profile, a file in /etc/gardu/profiles.",
        wiring="As its maker says; USB adapters have signals of 3.3 V or 5 V, RS-232 needs a converter.",
        pitfalls=(
            "Without a check a frame is only as sure as its sync, tail and ranges: give min and max.",
            "Its line settings are the sensor's keys baud, parity and stop_bits; the default is 9600 8N1.",
        ),
        example='[[sensor]]\nid = "tank-1"\ndriver = "serial_frame"\nport = "/dev/ttyUSB0"\nbaud = 4800\n\n'
        '[sensor.frame]\nsync = "A5 5A"\nlength = 7\ntail = "0D"\n'
        'check = { sum = "sum8", from = 1, to = 5, at = 5 }\n\n'
        '[sensor.fields]\nlevel = { at = 2, type = "u16be", unit = "mm", min = 0, max = 5000 }\n',
    ),
)
