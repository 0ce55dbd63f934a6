"""A port that several sensors use in turn."""

import asyncio

import pytest

from agent.sensing.sensor_errors import PortLost
from agent.sensing.sources.shared_port import SharedPort
from tests.agent.sensing.fakes import FakeLink, FakeTime


class Opener:
    def __init__(self) -> None:
        self.links: list[FakeLink] = []
        self.absent = False

    async def open(self) -> FakeLink:
        if self.absent:
            raise PortLost("it is not there")
        self.links.append(FakeLink(FakeTime()))
        return self.links[-1]


async def test_it_is_opened_when_first_used_and_stays_open() -> None:
    opener = Opener()
    port = SharedPort(opener.open)
    assert opener.links == []
    for _ in range(2):
        async with port.acquire() as link:
            assert link is opener.links[0]
    assert len(opener.links) == 1


async def test_one_at_a_time_in_the_order_of_asking() -> None:
    port, turns = SharedPort(Opener().open), []

    async def use(name: str) -> None:
        async with port.acquire():
            turns.append(f"{name} begins")
            await asyncio.sleep(0)
            turns.append(f"{name} ends")

    await asyncio.gather(use("a"), use("b"))
    assert turns == ["a begins", "a ends", "b begins", "b ends"]


async def test_a_port_that_was_lost_is_closed_and_opened_again() -> None:
    opener = Opener()
    port = SharedPort(opener.open)
    with pytest.raises(PortLost):
        async with port.acquire():
            raise PortLost("unplugged")
    assert opener.links[0].closed
    async with port.acquire() as link:
        assert link is opener.links[1]


async def test_another_error_of_a_user_leaves_it_open() -> None:
    opener = Opener()
    port = SharedPort(opener.open)
    with pytest.raises(ValueError, match="a fault"):
        async with port.acquire():
            raise ValueError("a fault")
    assert not opener.links[0].closed


async def test_where_it_cannot_be_opened_the_next_one_tries_again() -> None:
    opener = Opener()
    opener.absent = True
    port = SharedPort(opener.open)
    with pytest.raises(PortLost):
        async with port.acquire():
            pass
    opener.absent = False
    async with port.acquire():
        pass


async def test_closing_twice_is_safe() -> None:
    opener = Opener()
    port = SharedPort(opener.open)
    async with port.acquire():
        pass
    port.close()
    port.close()
    assert opener.links[0].closed
