"""What several of these tests begin with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.outside.update_city import City
from tests.support.mosquitto import until
from tests.support.scripted_broker import ScriptedBroker


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    async with ScriptedBroker() as broker:
        city = City(tmp_path, broker)
        async with city.agent:
            await until(lambda: len(broker.rows("telemetry/load")) > 1)
            yield city
