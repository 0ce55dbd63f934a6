"""How the next connection is made: versions, brokers in turn, Wills."""

from collections.abc import Callable

import pytest

from agent.delivery.connection import BrokerUnreachable, ConnectionLost, NoConnack, UnsupportedVersion
from tests.agent.delivery.uplink_bench import Acknowledging, Bench, Dropping
from tests.support.mosquitto import until


async def test_five_is_tried_first_and_3_1_1_at_once_where_the_broker_says_so(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.start(UnsupportedVersion("no"), Acknowledging(mqtt5=False))
    await until(lambda: bench.uplink.online)
    assert [(mqtt5, guess) for _, mqtt5, guess, _ in bench.tries] == [(True, True), (False, False)]


async def test_a_broker_that_does_not_answer_is_tried_in_turn_with_each_version(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.start(NoConnack("?"), NoConnack("?"), NoConnack("?"))
    await bench.tried(4)
    assert [mqtt5 for _, mqtt5, _, _ in bench.tries][:4] == [True, False, True, False]


async def test_a_version_that_worked_is_kept_through_silent_closes(make: Callable[..., Bench]) -> None:
    bench = make()
    link = Acknowledging()
    bench.start(link, NoConnack("restarting"), NoConnack("restarting"))
    await until(lambda: bench.uplink.online)
    link.broken.set()
    await bench.tried(3)
    assert [(mqtt5, guess) for _, mqtt5, guess, _ in bench.tries][:3] == [(True, True), (True, False), (True, False)]


@pytest.mark.parametrize(("protocol", "mqtt5"), [("5", True), ("3.1.1", False)])
async def test_a_configured_version_is_not_left(make: Callable[..., Bench], protocol: str, mqtt5: bool) -> None:
    bench = make(protocol=protocol)
    bench.start(UnsupportedVersion("no"), NoConnack("?"))
    await bench.tried(3)
    assert {(one, guess) for _, one, guess, _ in bench.tries} == {(mqtt5, False)}


async def test_brokers_are_tried_in_their_order(make: Callable[..., Bench]) -> None:
    bench = make(url=("mqtt://a", "mqtt://b"))
    bench.start()
    await bench.tried(4)
    assert [url for url, _, _, _ in bench.tries[:4]] == ["mqtt://a", "mqtt://b"] * 2


async def test_each_session_has_a_higher_generation_and_a_broker_out_of_reach_costs_none(
    make: Callable[..., Bench],
) -> None:
    bench = make()
    first, second = Acknowledging(), Acknowledging()
    bench.start(
        BrokerUnreachable("x"),
        BrokerUnreachable("x"),
        first,
        BrokerUnreachable("x"),
        ConnectionLost("after CONNECT"),
        second,
    )
    await until(lambda: bench.uplink.online)
    first.broken.set()
    await until(lambda: len(bench.tries) == 6)
    assert [will["gen"] for _, _, _, will in bench.tries] == [1, 1, 1, 2, 2, 3]
    assert bench.tries[0][3] == {
        "v": 1,
        "online": False,
        "gen": 1,
        "ep": "aaaaaaaa",
        "bid": "b0070000",
        "agent": "0.1.0",
        "t": bench.clock.stamp().t,
        "reason": "lwt",
    }


async def test_a_new_connection_on_purpose_is_made_to_the_first_broker(make: Callable[..., Bench]) -> None:
    bench = make(url=("mqtt://a", "mqtt://b"))
    bench.store.put("telemetry/a", 1, meta_hash=bench.meta_hash)
    bench.start(BrokerUnreachable("no"), Dropping(), Dropping())
    await until(lambda: not bench.store.accounts["telemetry/a"].unsettled())
    bench.uplink.reconnect()
    await bench.tried(3)
    assert [url for url, _, _, _ in bench.tries] == ["mqtt://a", "mqtt://b", "mqtt://a"]
