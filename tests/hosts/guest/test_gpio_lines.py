"""The GPIO edge on the real library, over gpio-sim or the shim."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from agent.sensing.io.gpio_lines import GpioLineSettings, GpioLink, LineEdge
from agent.sensing.sensor_errors import PortLost
from tests.support.gpio_chips import ON_A_KERNEL, Chip, Chips, ShimChips, only_a_kernel, only_the_shim

DOOR = 3


@contextmanager
def opened(
    chips: Chips, lines: dict[str, GpioLineSettings] | None = None, chip: str = "bench", output: int | None = None
) -> Iterator[GpioLink]:
    link = GpioLink.open(chip, lines or {"line": GpioLineSettings("DOOR")}, output, chips.devices)
    try:
        yield link
    finally:
        link.close()


def refusal(chips: Chips, line: str | int = "DOOR", chip: str = "bench") -> str:
    """What is said of a line that cannot be opened: one line."""
    with pytest.raises(PortLost) as caught, opened(chips, {"line": GpioLineSettings(line)}, chip):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def all_edges(link: GpioLink) -> list[LineEdge]:
    found: list[LineEdge] = []
    while edges := await link.edges(0.05):
        found += edges
    return found


@pytest.fixture
def chip(chips: Chips) -> Chip:
    return chips.add("bench", names={DOOR: "DOOR"})


@pytest.mark.parametrize("line", ["DOOR", DOOR, str(DOOR)])
async def test_a_line_is_found_by_its_name_and_by_its_number(chips: Chips, chip: Chip, line: str | int) -> None:
    with opened(chips, {"line": GpioLineSettings(line)}) as link:
        assert link.levels() == {"line": 0}
        chip.pull((DOOR, 1), (DOOR + 1, 1))
        assert [(edge.role, edge.level) for edge in await all_edges(link)] == [("line", 1)]
        assert link.levels() == {"line": 1}


async def test_a_chip_is_found_by_its_label_its_name_and_its_path(chips: Chips, chip: Chip) -> None:
    other = chips.add("other", names={DOOR: "DOOR"})
    other.pull((DOOR, 1))
    for name in ("other", other.name, str(chips.devices / other.name)):
        with opened(chips, chip=name) as link:
            assert link.levels() == {"line": 1}


async def test_each_change_is_an_edge_at_the_kernels_time_of_it(chips: Chips, chip: Chip) -> None:
    with opened(chips) as link:
        moments = []
        for number in range(10):
            moments.append(link.now_s())
            chip.pull((DOOR, (number + 1) % 2))
        moments.append(link.now_s())
        edges = await all_edges(link)

    assert [edge.level for edge in edges] == [1, 0] * 5
    assert [edge.lost for edge in edges] == [0] * 10
    for edge, (before_s, after_s) in zip(edges, pairwise(moments), strict=True):
        assert before_s <= edge.at_s <= after_s


async def test_edges_wake_whoever_waits(chips: Chips, chip: Chip) -> None:
    with opened(chips) as link:
        waiting = asyncio.create_task(link.edges(30))
        await asyncio.sleep(0)
        chip.pull((DOOR, 1))
        assert [edge.level for edge in await asyncio.wait_for(waiting, 5)] == [1]


async def test_a_wait_that_is_cancelled_loses_no_edge(chips: Chips, chip: Chip) -> None:
    with opened(chips) as link:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.edges(30), 0.01)
        chip.pull((DOOR, 1))
        assert [edge.level for edge in await all_edges(link)] == [1]


@pytest.mark.parametrize(("edge", "levels"), [("rising", [1, 1]), ("falling", [0, 0])])
async def test_only_the_edges_asked_for_come(chips: Chips, chip: Chip, edge: str, levels: list[int]) -> None:
    with opened(chips, {"line": GpioLineSettings("DOOR", edge)}) as link:
        for level in (1, 0, 1, 0):
            chip.pull((DOOR, level))
        assert [edge.level for edge in await all_edges(link)] == levels


async def test_an_active_low_line_is_turned_round(chips: Chips, chip: Chip) -> None:
    with opened(chips, {"line": GpioLineSettings("DOOR", "rising", active_low=True)}) as link:
        assert link.levels() == {"line": 1}
        chip.pull((DOOR, 1))
        assert link.levels() == {"line": 0}
        chip.pull((DOOR, 0))
        assert [edge.level for edge in await all_edges(link)] == [1]


async def test_the_lines_own_resistor_is_switched_on(chips: Chips, chip: Chip) -> None:
    with opened(chips, {"line": GpioLineSettings("DOOR", bias="pull_up")}) as link:
        assert link.levels() == {"line": 1}


async def test_the_edges_of_several_lines_come_in_their_order(chips: Chips, chip: Chip) -> None:
    with opened(chips, {"a": GpioLineSettings("DOOR"), "b": GpioLineSettings(5)}) as link:
        for offset, level in ((DOOR, 1), (5, 1), (DOOR, 0), (5, 0)):
            chip.pull((offset, level))
        edges = await all_edges(link)
    assert [(edge.role, edge.level) for edge in edges] == [("a", 1), ("b", 1), ("a", 0), ("b", 0)]


async def test_what_the_kernels_buffer_loses_is_counted_to_the_edge(chips: Chips, chip: Chip) -> None:
    """Eight lines of 200 changes each are 1600 edges; the buffer of a request holds 1024."""
    lines = range(8)
    with opened(chips, {f"line{each}": GpioLineSettings(each) for each in lines}) as link:
        for number in range(200):
            chip.pull(*((each, (number + 1) % 2) for each in lines))
        edges = await all_edges(link)

        assert len(edges) == 1024
        assert sum(edge.lost for edge in edges) == 1600 - 1024
        for each in lines:
            own = [edge for edge in edges if edge.role == f"line{each}"]
            assert len(own) + sum(edge.lost for edge in own) == 200
            assert not any(edge.lost for edge in own[1:]), "the oldest are lost, none in between"
            assert own[-1].level == 0
        chip.pull((DOOR, 1))
        assert [edge.lost for edge in await all_edges(link)] == [0], "what was counted is not counted again"


@only_a_kernel
async def test_the_kernel_makes_one_edge_of_a_bouncing_contact(chips: Chips, chip: Chip) -> None:
    with opened(chips, {"line": GpioLineSettings("DOOR", debounce_ms=100)}) as link:
        for number in range(9):
            chip.pull((DOOR, (number + 1) % 2))
        first = await link.edges(2)
        for number in range(9):
            chip.pull((DOOR, number % 2))
        second = await link.edges(2)
        assert await link.edges(0.3) == []
    assert [edge.level for edge in (*first, *second)] == [1, 0]


async def test_a_line_in_use_says_so_until_it_is_free(chips: Chips, chip: Chip) -> None:
    with opened(chips):
        assert refusal(chips) == "line DOOR of bench is in use by another program"
    with opened(chips) as link:
        link.close()


@pytest.mark.parametrize("line", ["WINDOW", 8, "8", 4_000_000_000, "-1", ""])
async def test_a_line_that_is_not_there_says_so(chips: Chips, chip: Chip, line: str | int) -> None:
    """Most lines bear no name: the empty one is not theirs."""
    assert refusal(chips, line) == f"chip bench has no line {line}"


@pytest.mark.parametrize("name", ["pinctrl-bcm2711", "gpiochip99", "/dev/null", "/dev/gpiochip99"])
async def test_a_chip_that_is_not_there_says_so(chips: Chips, chip: Chip, name: str) -> None:
    assert refusal(chips, chip=name) == f"GPIO chip {name} does not exist"


@only_the_shim
async def test_a_chip_that_may_not_be_opened_says_what_to_mend(chips: ShimChips) -> None:
    chip = chips.add("bench")
    chip.forbid()
    for name in ("bench", chip.name):
        assert refusal(chips, 0, name) == f"no permission to open chip {name}: add the user to the group gpio"


async def test_one_line_for_two_roles_is_refused(chips: Chips, chip: Chip) -> None:
    twice = {"a": GpioLineSettings("DOOR"), "b": GpioLineSettings(DOOR)}
    with pytest.raises(PortLost, match=r"^line 3 of bench is used twice$"), opened(chips, twice):
        pass


@pytest.mark.parametrize("active_low", [False, True])
async def test_an_output_drives_its_line(chips: Chips, chip: Chip, active_low: bool) -> None:
    for level in (1, 0):
        with opened(chips, {"line": GpioLineSettings("DOOR", active_low=active_low)}, output=level) as link:
            assert chip.level(DOOR) == (not level if active_low else level)
            assert link.levels() == {"line": level}
            assert await link.edges(0.01) == []


@pytest.mark.parametrize("woken", [False, True])
async def test_a_chip_that_goes_is_noticed_and_found_again(chips: Chips, chip: Chip, woken: bool) -> None:
    with opened(chips) as link:
        waiting = asyncio.create_task(link.edges(60))
        await asyncio.sleep(0)
        chip.remove(woken)
        began_s = time.monotonic()
        with pytest.raises(PortLost, match=r"^chip bench disappeared: No such device$"):
            await asyncio.wait_for(waiting, 5)
        assert ON_A_KERNEL or not woken or time.monotonic() - began_s < 1
        with pytest.raises(PortLost):
            link.levels()
    chips.add("bench", names={DOOR + 1: "DOOR"}).pull((DOOR + 1, 1))
    with opened(chips) as link:
        assert link.levels() == {"line": 1}
