"""What the kinds of profile have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from drivers.sdk.contract import Driver, Field
from drivers.sdk.tables.limits import Limit
from drivers.sdk.tables.problem import Report

KINDS = ("serial_frame", "serial_line", "modbus", "modbus_tcp", "i2c")

S = TypeVar("S", covariant=True)
T = TypeVar("T")

Seconds = Annotated[float, Limit(above=0, max=86_400)]
Timeout = Annotated[float, Limit(above=0, max=600)]


@dataclass(frozen=True, slots=True)
class Device(Generic[S]):
    """A device that its tables describe.

    ``spec``: what decoder and simulator work from. ``driver``: completes the driver with its name, title, source and
    page.
    """

    fields: Mapping[str, Field]
    spec: S
    driver: Callable[..., Driver]


@dataclass(frozen=True, slots=True)
class DeviceKind(Generic[T]):
    """A kind of device. ``tables``: the description of its keys.

    ``check``: reports what does not fit together, at a path. ``build``: makes the device of tables without a problem.
    """

    tables: type[T]
    check: Callable[[T, str, Report], None]
    build: Callable[[T], Device[object]]
