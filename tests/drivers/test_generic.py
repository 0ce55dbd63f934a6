"""serial_frame, serial_line, modbus_rtu and modbus_tcp: drivers whose table stands in the configuration."""

import pytest

from agent.config.io.catalog import Catalog
from drivers.sdk.bus import ModbusDriver, ModbusRead
from drivers.sdk.contract import Driver, Item, LineSettings, Measurement, Rejected, SerialDriver
from drivers.sdk.modbus import answer
from tests.support.generic_drivers import attempt, built

CATALOG = Catalog()


def made(name: str, tables: str) -> Driver:
    return built(CATALOG.get(name), tables)


def items(driver: Driver, raw: bytes) -> list[Item]:
    decoder = driver.decoder({})
    return [*decoder.feed(raw, 0), *decoder.finish(0)]


FRAME = """
request = "01 02"
setup = ["03"]
period_s = 20
data_bits = 7
frame = { sync = "AA", length = 3, check = { sum = "sum8", from = 0, to = 2, at = 2 } }
fields = { level = { at = 1, type = "u8", unit = "mm" } }
rule = [{ quality = "uncertain:warmup", when = { level = 0 } }]
"""


def test_a_frame_in_the_configuration_makes_a_driver() -> None:
    driver = made("serial_frame", FRAME)

    assert isinstance(driver, SerialDriver)
    assert (driver.name, driver.request, driver.setup, driver.period_s) == ("serial_frame", b"\x01\x02", (b"\x03",), 20)
    assert driver.line == LineSettings(data_bits=7)
    assert items(driver, b"\xaa\x05\xaf") == [Measurement({"level": 5})]
    assert items(driver, b"\xaa\x00\xaa") == [Measurement({"level": 0}, {"level": "uncertain:warmup"})]


LINES = {
    "pattern": (
        'lines = { format = "pattern", pattern = \'T=(?P<temp>[0-9.]+)C\' }\nfields = { temp = { unit = "Cel" } }',
        b"T=21.5C\n",
    ),
    "json": (
        'lines = { format = "json", require = ["temp"] }\nfields = { temp = { key = "t", unit = "Cel" } }',
        b'{"t": 21.5}\n',
    ),
    "csv": (
        'lines = { format = "csv", columns = 3 }\nfields = { temp = { column = 1, unit = "Cel" } }',
        b"node, 21.5, ok\n",
    ),
    "tabs": (
        'lines = { format = "csv", separator = ";", columns = 2 }\nfields = { temp = { column = 0 } }',
        b"21.5;1\n",
    ),
}


@pytest.mark.parametrize("form", LINES)
def test_lines_in_the_configuration_make_a_driver(form: str) -> None:
    tables, line = LINES[form]

    assert items(made("serial_line", tables), line * 2) == [Measurement({"temp": 21.5})] * 2


def test_a_line_of_another_number_of_columns_is_no_reading() -> None:
    tables = (
        'lines = { format = "csv", columns = 2, require = ["a"] }\nfields = { a = { column = 0 }, b = { column = 1 } }'
    )
    driver = made("serial_line", tables)

    assert items(driver, b"hello world\n1,2,3\n1\n") == []
    assert items(driver, b"x,2\n") == [Rejected("format")]
    assert items(driver, b"1,2\n") == [Measurement({"a": 1, "b": 2})]


def test_a_line_may_be_an_event_with_an_identifier() -> None:
    tables = (
        'event = "seen"\nperiod_s = 0\nlines = { format = "pattern", pattern = \'N(?P<plate>[A-Z0-9]+)#\' }\n'
        'fields = { plate = { kind = "text", identifier = true } }'
    )
    driver = made("serial_line", tables)

    assert driver.fields["plate"].identifier
    assert driver.period_s == 0
    assert items(driver, b"NDD1234AB#\n") == [Measurement({"plate": "DD1234AB"}, event="seen")]


MODBUS = """
reads = [{ function = 3, address = 0, count = 4 }]
word_order = "low"
[fields]
energy = { register = 2, type = "u32", unit = "Wh", kind = "counter" }
"""


@pytest.mark.parametrize("name", ["modbus_rtu", "modbus_tcp"])
def test_registers_in_the_configuration_make_a_driver(name: str) -> None:
    driver = made(name, MODBUS)

    assert isinstance(driver, ModbusDriver)
    assert driver.tcp == (name == "modbus_tcp")
    assert items(driver, answer(3, ModbusRead(3, 0, 4), bytes.fromhex("0000 0000 0002 0001"))) == [
        Measurement({"energy": 0x00010002})
    ]


@pytest.mark.parametrize(
    ("name", "tables", "paths"),
    [
        ("serial_frame", "", ["frame.sync", "frame.length", "fields"]),
        ("serial_frame", FRAME.replace("u8", "u9"), ["fields.level.type"]),
        ("serial_frame", FRAME.replace("data_bits = 7", "data_bits = 9"), ["data_bits"]),
        ("serial_line", LINES["csv"][0].replace("column = 1", "column = 3"), ["lines.columns"]),
        ("serial_line", LINES["csv"][0].replace("columns = 3", "columns = 3, separator = ', '"), ["lines.separator"]),
        ("serial_line", LINES["json"][0] + '\nevent = "opened"', ["event"]),
        ("modbus_rtu", MODBUS.replace("2,", "3,"), ["fields.energy.register"]),
        ("modbus_tcp", MODBUS.replace('"low"', '"middle"'), ["word_order"]),
    ],
)
def test_a_mistake_is_named_with_its_path_in_the_sensor(name: str, tables: str, paths: list[str]) -> None:
    driver, problems = attempt(CATALOG.get(name), tables)

    assert driver is None
    assert [problem.path for problem in problems] == paths
