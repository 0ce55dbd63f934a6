"""Any Modbus TCP device, with its registers described in the configuration.

Source: the keys of a profile (docs/drivers.md), kind ``modbus_tcp``; MODBUS application protocol V1.1b3.
"""

from collections.abc import Mapping

from drivers.sdk.bus import ModbusDriver
from drivers.sdk.contract import Driver, Page
from drivers.sdk.modbus import AnswerDecoder
from drivers.sdk.profiles.profile import build_from_tables, table_keys
from drivers.sdk.tables.problem import Report


def _build(tables: Mapping[str, object], path: str, report: Report) -> Driver | None:
    return build_from_tables("modbus_tcp", DRIVER, tables, path, report)


DRIVER = ModbusDriver(
    name="modbus_tcp",
    title="Any Modbus TCP device, with its registers described in the configuration",
    source="docs/drivers.md, the keys of a profile of the kind modbus_tcp; MODBUS application protocol V1.1b3",
    fields={},
    period_s=10.0,
    reads=(),
    decoder=lambda options: AnswerDecoder(()),
    table=_build,
    table_keys=table_keys("modbus_tcp"),
    tcp=True,
    page=Page(
        about="For a meter, a relay board or another device without a profile: the sensor's configuration\n"
        "describes the registers and their meaning, with the keys of a profile.",
        wiring="Ethernet; the gateway must be able to reach port 502 of the device.",
        pitfalls=(
            "Addresses count from 0: register 40001 or 30001 of a manual is address 0.",
            'Two registers make a 32-bit number: if the value is absurd, try word_order = "low".',
            "A Modbus gateway answers for many RTU devices: unit selects the device.",
        ),
        example='[[sensor]]\nid = "meter-1"\ndriver = "modbus_tcp"\nport = "192.168.1.20:502"\nunit = 1\n'
        "\n[[sensor.reads]]\nfunction = 3\naddress = 0\ncount = 4\n\n"
        '[sensor.fields]\nvoltage = { register = 0, type = "u16", scale = 0.1, unit = "V" }\n'
        'energy = { register = 2, type = "u32", word_order = "low", unit = "Wh", kind = "counter" }\n',
    ),
)
