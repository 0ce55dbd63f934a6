"""The event loop of each test, and the order of the tests where several workers share them."""

import asyncio
import os
from collections.abc import Callable, Mapping
from itertools import groupby

import pytest
from hypothesis import HealthCheck, settings

from tests.support.virtual_time import VirtualTimeLoop

# The cores are shared with other tests: how long an example takes says nothing.
settings.register_profile("shared cores", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared cores")

_HOURS = "_an_hour_of_"
_PROCESSES = ("tests/integration/", "tests/outside/")
"""Where tests start the agent, brokers and others as processes, and wait for them most of the time."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests that are marked ``virtual_time`` wait for nothing: their loop's time passes at once."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual time": VirtualTimeLoop}
    return {"real time": asyncio.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ``--dist worksteal`` each worker begins with a stretch of the tests, and whoever is done takes over the end
    of another's. So each stretch begins with what takes long: with one of those that take an hour, and with its share
    of the tests that wait, file by file, because files share what is set up for them. Unit tests fill it up."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    stretches: list[list[pytest.Item]] = [[] for _ in range(workers)]
    hours = [item for item in items if _HOURS in item.name and item.get_closest_marker("long")]
    rest = [item for item in items if item not in set(hours)]
    waiting = [item for item in rest if item.nodeid.startswith(_PROCESSES)]
    others = [item for item in rest if not item.nodeid.startswith(_PROCESSES)]
    for number, item in enumerate(hours):
        stretches[number % workers].append(item)
    for number, (_, file) in enumerate(groupby(waiting, lambda item: item.path)):
        stretches[number % workers] += file
    size = -(-len(items) // workers)
    for stretch in stretches:
        room = max(0, size - len(stretch))
        stretch += others[:room]
        others = others[room:]
    items[:] = [item for stretch in stretches for item in stretch] + others
