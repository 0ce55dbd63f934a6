from drivers.gpio_in import DRIVER
from drivers.sdk.contract import Item, Measurement
from drivers.sdk.gpio import Edge, EdgeDecoder

ON, OFF = Measurement({"state": True}, event="on"), Measurement({"state": False}, event="off")


def started(level: int) -> EdgeDecoder:
    decoder = DRIVER.edges({})
    decoder.start({"line": level}, 0)
    return decoder


def edges(decoder: EdgeDecoder, *levels: int) -> list[Item]:
    return decoder.edges([Edge(float(at), "line", level) for at, level in enumerate(levels)])


def test_how_a_contact_stands_at_start_is_telemetry_and_no_event() -> None:
    assert DRIVER.edges({}).start({"line": 1}, 0) == [Measurement({"state": True})]


def test_each_change_is_an_event() -> None:
    assert edges(started(0), 1, 0, 1) == [ON, OFF, ON]


def test_an_edge_to_where_it_stands_already_is_none() -> None:
    assert edges(started(1), 1, 1, 0, 0) == [OFF]


def test_a_change_among_lost_edges_is_told_when_the_levels_are_read_again() -> None:
    decoder = started(0)
    assert decoder.lost("line", 3) == []

    assert decoder.start({"line": 1}, 5) == [ON]
    assert decoder.start({"line": 1}, 6) == [Measurement({"state": True})]


def test_the_state_can_be_asked_for_once_it_is_known() -> None:
    assert DRIVER.edges({}).sample(0) == []
    assert started(1).sample(9) == [Measurement({"state": True})]
