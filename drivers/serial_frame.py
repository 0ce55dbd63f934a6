"""Any serial device with binary frames, described by a table in the configuration.

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
        about="For a device without a profile: the sensor's configuration describes its frames, with the keys of\n"
        "a profile. For a device used more than once, write a profile instead: a file in /etc/gardu/profiles.",
        wiring="As specified by the manufacturer; USB adapters have 3.3 V or 5 V signals, RS-232 needs a converter.",
        pitfalls=(
            "Without a check, a frame is validated only by sync, tail and value ranges: specify min and max.",
            "Set the line with the sensor's keys baud, parity and stop_bits; the default is 9600 8N1.",
        ),
        example='[[sensor]]\nid = "tank-1"\ndriver = "serial_frame"\nport = "/dev/ttyUSB0"\nbaud = 4800\n\n'
        '[sensor.frame]\nsync = "A5 5A"\nlength = 7\ntail = "0D"\n'
        'check = { sum = "sum8", from = 1, to = 5, at = 5 }\n\n'
        '[sensor.fields]\nlevel = { at = 2, type = "u16be", unit = "mm", min = 0, max = 5000 }\n',
    ),
)
