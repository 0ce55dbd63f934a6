"""Any serial device that prints lines, whose format is described in the configuration.

Source: the keys of a profile (docs/drivers.md), kind ``serial_line``: a pattern, JSON objects, or columns.
"""

from collections.abc import Mapping

from drivers.sdk.contract import Driver, Page, SerialDriver
from drivers.sdk.framing import LineDecoder
from drivers.sdk.profiles.profile import build_from_tables, table_keys
from drivers.sdk.tables.problem import Report


def _build(tables: Mapping[str, object], path: str, report: Report) -> Driver | None:
    return build_from_tables("serial_line", DRIVER, tables, path, report)


DRIVER = SerialDriver(
    name="serial_line",
    title="Any serial device that prints lines (a pattern, JSON or CSV), described in the configuration",
    source="docs/drivers.md, the keys of a profile of the kind serial_line",
    fields={},
    period_s=1.0,
    decoder=lambda options: LineDecoder(lambda line, at_s: None),
    table=_build,
    table_keys=table_keys("serial_line"),
    page=Page(
        about="For an Arduino, an ESP or an instrument that prints its readings: the sensor's configuration\n"
        "describes its lines, with the keys of a profile.",
        wiring="As specified by the manufacturer; USB adapters have 3.3 V or 5 V signals, RS-232 needs a converter.",
        pitfalls=(
            "A truncated line must not match: end the pattern with something fixed, such as the unit.",
            "Text is latin-1: each byte is one character.",
            "Set the line with the sensor's keys baud, parity and stop_bits; the default is 9600 8N1.",
        ),
        example='[[sensor]]\nid = "node-1"\ndriver = "serial_line"\nport = "/dev/ttyACM0"\nbaud = 115200\n\n'
        '[sensor.lines]\nformat = "csv"\ncolumns = 3\nrequire = ["temp"]\n\n'
        '[sensor.fields]\ntemp = { column = 0, unit = "Cel", min = -40, max = 85 }\n'
        'rh = { column = 1, unit = "%RH", min = 0, max = 100 }\n',
    ),
)
