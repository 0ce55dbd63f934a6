"""What the driver of a sensor requires of the sensor's keys, and which of them it does not use."""

from typing import TYPE_CHECKING

from agent.base.i18n import _
from agent.config.settings import Sensor
from drivers.sdk.contract import Driver, PollDriver, SerialDriver
from drivers.sdk.tables.names import check_known
from drivers.sdk.tables.problem import Report

if TYPE_CHECKING:
    from drivers.sdk.bus import I2cDriver, W1Driver
    from drivers.sdk.gpio import GpioDriver

_PLACES = ("port", "bus", "unit", "i2c_bus", "address", "w1", "chip", "line")
_LINE = ("baud", "parity", "stop_bits")
MIN_POLL_S = 0.05
"""The shortest interval at which a device is polled or a line is sampled."""


def shares_its_port(driver: Driver | None) -> bool:
    """Return whether several sensors may have the same port: a Modbus TCP server has many units."""
    return getattr(driver, "tcp", False)


def check_driver(path: str, sensor: Sensor, driver: Driver, report: Report) -> None:
    """Report what the sensor's driver lacks, does not use or does not know."""
    used = _check_place(path, sensor, driver, report)
    _check_interval(path, sensor, driver, report)
    for key in (*_PLACES, *_LINE, "active_low", "debounce_ms"):
        value = getattr(sensor, key)
        if key not in used and value is not None and value is not False and value not in ("", 0):
            report.warn(f"{path}.{key}", "unused", _("{driver} does not use this key").format(driver=driver.name))
    for key, names in (("calibrate", sensor.calibrate), ("deadband", sensor.deadband)):
        for name in names:
            check_known(f"{path}.{key}.{name}", "unknown_field", name, driver.fields, report)


def _check_interval(path: str, sensor: Sensor, driver: Driver, report: Report) -> None:
    """Report a polled device with too short an interval."""
    interval_s = sensor.interval_s
    if interval_s is None or interval_s >= MIN_POLL_S or report.wrong(f"{path}.interval_s"):
        return
    if isinstance(driver, SerialDriver):
        is_polled = bool(driver.request)
    else:
        # The kernel reports the changes of a GPIO line: 0 is valid.
        is_polled = interval_s > 0 or isinstance(driver, PollDriver) or not hasattr(driver, "edges")
    if is_polled:
        message = _("{value} is out of range").format(value=f"{interval_s:g}")
        hint = _("{driver} is polled: use at least {min_s} s, or omit this key for every {period_s:g} s").format(
            driver=driver.name, min_s=MIN_POLL_S, period_s=driver.period_s
        )
        report.error(f"{path}.interval_s", "range", message, hint)


def _check_place(path: str, sensor: Sensor, driver: Driver, report: Report) -> tuple[str, ...]:
    """Check the keys that say where a device is; return those that this kind of driver uses."""
    if isinstance(driver, SerialDriver):
        _need_port(path, driver, sensor.port, 'port = "/dev/serial/by-path/..."', report)
        if sensor.bus:
            message = _("{driver} cannot share its port").format(driver=driver.name)
            report.error(f"{path}.bus", "not_shared", message, _("use a port instead of a bus"))
        return ("port", "bus", *_LINE)
    if isinstance(driver, PollDriver):
        return ()
    # Imported here, because most gateways have no such devices.
    from drivers.sdk.bus import I2cDriver, ModbusDriver, W1Driver
    from drivers.sdk.gpio import GpioDriver

    match driver:
        case ModbusDriver():
            example = 'port = "192.0.2.7:502"' if driver.tcp else 'bus = "rs485-0", unit = 1'
            _need_port(path, driver, sensor.port or sensor.bus, example, report)
            return ("port", "bus", "unit", *_LINE)
        case I2cDriver():
            _check_address(path, sensor, driver, report)
            return ("i2c_bus", "address")
        case W1Driver():
            _check_w1(path, sensor, driver, report)
            return ("w1",)
        case GpioDriver():
            _check_lines(path, sensor, driver, report)
            return ("chip", "line", "active_low", "debounce_ms")
    return ()


def _need_port(path: str, driver: Driver, given: str, example: str, report: Report) -> None:
    if not given and not report.wrong(f"{path}.port"):
        message = _("{driver} needs the port of its device").format(driver=driver.name)
        report.error(f"{path}.port", "no_port", message, example)


def _check_address(path: str, sensor: Sensor, driver: "I2cDriver", report: Report) -> None:
    if sensor.address is not None and sensor.address not in driver.addresses:
        known = ", ".join(f"0x{address:02x}" for address in driver.addresses)
        message = _("{driver} does not use address 0x{address:02x}").format(driver=driver.name, address=sensor.address)
        report.error(f"{path}.address", "address", message, _("one of {choices}").format(choices=known))


def _check_w1(path: str, sensor: Sensor, driver: "W1Driver", report: Report) -> None:
    if not sensor.w1:
        message = _("{driver} needs the unit number of its device").format(driver=driver.name)
        report.error(f"{path}.w1", "missing", message, 'w1 = "28-0316a2795cff"')
    elif sensor.w1.partition("-")[0] not in driver.families or "/" in sensor.w1:
        message = _("{value} is not a {driver}").format(value=sensor.w1, driver=driver.name)
        report.error(
            f"{path}.w1",
            "family",
            message,
            _("a name as in /sys/bus/w1/devices: {example}-…").format(example=driver.families[0]),
        )


def _check_lines(path: str, sensor: Sensor, driver: "GpioDriver", report: Report) -> None:
    if not sensor.chip:
        message = _("{driver} needs the chip of its lines").format(driver=driver.name)
        report.error(f"{path}.chip", "missing", message, 'chip = "gpiochip0"')
    if "line" in driver.lines and sensor.line == "":
        message = _("{driver} needs a line").format(driver=driver.name)
        report.error(f"{path}.line", "missing", message, 'line = "GPIO17"')
