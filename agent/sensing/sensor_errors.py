"""Failures of a sensor, by how to respond. ``why`` is the reason in the ``sensor_lost`` event."""


class SensorFailure(Exception):
    """The sensor cannot be used now; the text is the reason, for people. Retry with increasing delays."""

    why = "device"


class PortLost(SensorFailure):
    """The port does not exist, or was removed. Reopen it by its name."""

    why = "port"


class Silent(SensorFailure):
    """The port is open, but delivered no usable data for a long time. Reopen it: some adapters hang."""

    why = "timeout"


class DriverFault(SensorFailure):
    """The driver's own code raised an exception or gave up."""

    why = "driver"


class Stuck(DriverFault):
    """The driver's code did not return: its thread is abandoned, and few of those are allowed."""
