"""The event loop of each test, and the order of the tests."""

import asyncio
from collections.abc import Callable, Mapping

import hypothesis
import pytest

from tests.support.virtual_time import VirtualTimeLoop

# A slow example says something about the load of the machine, not about the code.
hypothesis.settings.register_profile("gardu", deadline=None)
hypothesis.settings.load_profile("gardu")

_HOURS = "_an_hour_of_"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ``--dist worksteal`` each worker begins with its half of the tests. One that takes an hour at the front of
    each half, and all of them run side by side; whoever is done first takes over what waits behind the other."""
    hours = [item for item in items if _HOURS in item.name and item.get_closest_marker("long")]
    others = [item for item in items if item not in set(hours)]
    middle = (len(items) - len(hours)) // 2
    items[:] = [*hours[::2], *others[:middle], *hours[1::2], *others[middle:]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests that are marked ``virtual_time`` wait for nothing: their loop's time passes at once."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual time": VirtualTimeLoop}
    return {"real time": asyncio.new_event_loop}
