"""Rules between the keys of a configuration."""

from collections.abc import Collection, Mapping, Sequence

from agent.base.i18n import _
from agent.base.timekeeping.gnss_time import can_tell_time
from agent.config.rules.broker import check_broker
from agent.config.rules.driver import check_driver, shares_its_port
from agent.config.settings import Alarm, Config, Sensor
from drivers.sdk.contract import Driver
from drivers.sdk.tables.names import check_known
from drivers.sdk.tables.problem import Report
from drivers.sdk.tables.reader import labels

_COMMON_ZONES = ("Asia/Makassar", "Asia/Jakarta", "Asia/Jayapura", "Asia/Pontianak", "UTC")
"""Valid without the time zone database, which costs half a megabyte."""


def check_rules(config: Config, drivers: Mapping[str, Driver], report: Report) -> None:
    """Report what does not fit together. ``drivers``: by sensor id, those that could be loaded."""
    bus_paths = _check_ids("bus", [bus.id for bus in config.bus], report)
    sensor_paths = _check_ids("sensor", [sensor.id for sensor in config.sensor], report)
    alarm_paths = _check_ids("alarm", [alarm.id for alarm in config.alarm], report)
    _check_zone(config.gateway.timezone, report)
    check_broker(config.broker, report)
    ports = [(path, bus.port) for path, bus in zip(bus_paths, config.bus, strict=True)]
    ports += [
        (path, sensor.port)
        for path, sensor in zip(sensor_paths, config.sensor, strict=True)
        if not shares_its_port(drivers.get(sensor.id))
    ]
    _check_ports(ports, report)
    buses = {bus.id for bus in config.bus}
    for path, sensor in zip(sensor_paths, config.sensor, strict=True):
        if sensor.bus:
            _check_bus(path, sensor, buses, report)
        if sensor.id in drivers:
            check_driver(path, sensor, drivers[sensor.id], report)
    sensors = {sensor.id: sensor for sensor in config.sensor if sensor.id}
    for path, alarm in zip(alarm_paths, config.alarm, strict=True):
        _check_condition(path, alarm, report)
        _check_alarm(path, alarm, sensors, drivers, report)
    if config.clock.source != "system":
        _check_clock(config.clock.source, sensors, drivers, report)


def _check_clock(source: str, sensors: Mapping[str, Sensor], drivers: Mapping[str, Driver], report: Report) -> None:
    """Report a clock that is not a GNSS receiver."""
    if check_known("clock.source", "unknown_sensor", source, sensors, report):
        driver = drivers.get(source)
        if driver is not None and not can_tell_time(driver.fields):
            message = _('"{name}" does not tell the time').format(name=source)
            report.error("clock.source", "no_time", message, _("a sensor with a GNSS receiver, such as nmea0183"))


def _check_ids(table: str, ids: Sequence[str], report: Report) -> list[str]:
    """Report duplicate ids; return the paths of all entries."""
    first: dict[str, int] = {}
    for at, name in enumerate(ids):
        if name and first.setdefault(name, at) != at:
            message = _('"{name}" is also the id of {other}').format(name=name, other=f"{table}[{first[name]}]")
            report.error(f"{table}[{at}].id", "duplicate_id", message, _("give each one a different id"))
    return labels(table, ids)


def _check_zone(name: str, report: Report) -> None:
    path = "gateway.timezone"
    if name in _COMMON_ZONES or report.wrong(path):
        return
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        zones = available_timezones()
        if zones:  # without a database, no name can be rejected
            hint = report.near(name, zones, _("a time zone such as Asia/Makassar"))
            report.error(path, "timezone", _('unknown time zone "{name}"').format(name=name), hint)


def _check_ports(users: Sequence[tuple[str, str]], report: Report) -> None:
    """Report duplicate ports. ``users``: path and port."""
    first: dict[str, str] = {}
    for path, port in users:
        if port and first.setdefault(port, path) != path:
            message = _("{port} is also the port of {other}").format(port=port, other=first[port])
            hint = _("sensors that share a port must use a [[bus]]")
            report.error(f"{path}.port", "port_shared", message, hint)


def _check_bus(path: str, sensor: Sensor, buses: Collection[str], report: Report) -> None:
    check_known(f"{path}.bus", "unknown_bus", sensor.bus, buses, report)
    if sensor.port:
        hint = _("set the port in the [[bus]]")
        report.error(f"{path}.port", "port_and_bus", _("a sensor has either a port or a bus, not both"), hint)


def _check_alarm(
    path: str, alarm: Alarm, sensors: Mapping[str, Sensor], drivers: Mapping[str, Driver], report: Report
) -> None:
    """Report a sensor, a field or an output that does not exist."""
    output = sensors.get(alarm.output)
    if output is not None and output.driver != "gpio_out":
        message = _('"{name}" is not an output').format(name=alarm.output)
        report.error(f"{path}.output", "no_output", message, _("a sensor with the driver gpio_out"))
    elif alarm.output:
        check_known(f"{path}.output", "unknown_sensor", alarm.output, sensors, report)
    if alarm.sensor and check_known(f"{path}.sensor", "unknown_sensor", alarm.sensor, sensors, report):
        driver = drivers.get(alarm.sensor)
        if alarm.field and driver is not None:
            check_known(f"{path}.field", "unknown_field", alarm.field, driver.fields, report)


def _check_condition(path: str, alarm: Alarm, report: Report) -> None:
    """Report an alarm without exactly one condition, without a field, or with a ``clear`` that raises the alarm."""
    keys = ("above", "below", "equal", "stale_s")
    given = [key for key in keys if getattr(alarm, key) is not None or report.wrong(f"{path}.{key}")]
    if len(given) != 1:
        message = _("an alarm needs exactly one of above, below, equal and stale_s")
        report.error(path, "condition", message)
        return
    if given != ["stale_s"] and not alarm.field and not report.wrong(f"{path}.field"):
        report.error(f"{path}.field", "missing", _("missing key"), _("the field to watch"))
    if alarm.clear is None:
        return
    above_it = alarm.above is not None and alarm.clear > alarm.above
    below_it = alarm.below is not None and alarm.clear < alarm.below
    if above_it or below_it:
        hint = _("a value on the safe side of the limit")
        report.error(f"{path}.clear", "clear", _("the alarm would clear before it is raised"), hint)
