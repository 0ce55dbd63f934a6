"""How a sensor fails, by the answer it calls for. ``why`` is what the ``sensor_lost`` event says."""


class SensorFailure(Exception):
    """The sensor cannot be used now; the text says why, for people. Try again a little later each time."""

    why = "device"


class PortLost(SensorFailure):
    """The port is not there, or not any more. Open it again by its name."""

    why = "port"


class Silent(SensorFailure):
    """The port is there, but nothing usable came from it for long. Open it anew: some adapters hang."""

    why = "timeout"


class DriverFault(SensorFailure):
    """The driver's own code raised or gave up."""

    why = "driver"


class Stuck(DriverFault):
    """The driver's code did not return: a thread is left behind, and there may not be many of those."""
