from drivers.dual_beam import DRIVER
from drivers.sdk.contract import Measurement, Rejected, Value
from drivers.sdk.gpio import Edge, EdgeDecoder
from drivers.sim.edges import passages


def walked(*steps: str, decoder: EdgeDecoder | None = None, start_s: float = 0.0) -> EdgeDecoder:
    """The decoder after steps such as ``a1``, one every 0.2 s."""
    decoder = decoder or DRIVER.edges({})
    decoder.edges([Edge(start_s + at * 0.2, step[0], int(step[1])) for at, step in enumerate(steps)])
    return decoder


def counts(decoder: EdgeDecoder) -> dict[str, Value]:
    (item,) = decoder.sample(1000)
    assert isinstance(item, Measurement)
    return dict(item.values)


def only(**counted: int) -> dict[str, int]:
    return {"in": 0, "out": 0, "aborted": 0, **counted}


def test_many_people_are_counted_each_their_way() -> None:
    decoder = DRIVER.edges({})
    decoder.edges(passages(3, 2, 1))

    assert counts(decoder) == {"in": 3, "out": 2, "aborted": 1}


def test_one_who_hesitates_between_the_beams_is_counted_once() -> None:
    assert counts(walked("a1", "b1", "a0", "a1", "a0", "b0")) == only(**{"in": 1})


def test_one_who_turns_back_at_the_last_moment_is_none() -> None:
    assert counts(walked("a1", "b1", "a0", "a1", "b0", "a0")) == only(aborted=1)


def test_a_hand_in_one_beam_is_none() -> None:
    assert counts(walked("a1", "a0")) == only(aborted=1)


def test_beams_that_were_never_broken_together_are_no_passage() -> None:
    assert counts(walked("a1", "a0", "b1", "b0")) == only(aborted=2)


def test_what_stands_in_the_beams_is_no_person() -> None:
    decoder = walked("a1", "b1")
    assert decoder.due_s == 30.0
    decoder.tick(30)
    assert decoder.due_s is None
    assert counts(decoder) == only(aborted=1)

    assert counts(walked("a0", "b0", decoder=decoder, start_s=40)) == only(aborted=1)
    assert counts(walked("a1", "b1", "a0", "b0", decoder=decoder, start_s=50)) == only(aborted=1, **{"in": 1})


def test_a_passage_that_began_before_anybody_looked_is_not_judged() -> None:
    decoder = DRIVER.edges({})
    decoder.start({"a": 1, "b": 0}, 0)

    assert counts(walked("b1", "a0", "b0", decoder=decoder)) == only()
    assert counts(walked("a1", "b1", "a0", "b0", decoder=decoder, start_s=5)) == only(**{"in": 1})


def test_a_passage_that_lost_edges_is_not_judged() -> None:
    decoder = walked("a1", "b1")
    assert decoder.lost("a", 2) == [Rejected("overload")]
    assert decoder.lost("b", 1) == []
    decoder.start({"a": 0, "b": 0}, 1)

    assert counts(decoder) == only()
    assert counts(walked("a1", "b1", "a0", "b0", decoder=decoder, start_s=5)) == only(**{"in": 1})


def test_counts_go_on_after_a_restart() -> None:
    decoder = DRIVER.edges({})
    decoder.restore({"in": 10, "out": 7, "aborted": 2, "other": 5})

    assert counts(walked("b1", "a1", "b0", "a0", decoder=decoder)) == {"in": 10, "out": 8, "aborted": 2}
    assert decoder.totals() == {"in": 10, "out": 8, "aborted": 2}
