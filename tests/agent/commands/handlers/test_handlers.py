"""What each command does to the gateway, and its result."""

import pytest

from agent.commands.arguments import parse_arguments
from agent.commands.registry import COMMANDS
from tests.agent.commands.command_bench import EPOCH, CommandBench


async def execute(bench: CommandBench, name: str, **arguments: object) -> object:
    kind = COMMANDS[name]
    return await kind.execute(bench.context, parse_arguments(kind.arguments, arguments))


async def test_read_returns_a_measurement() -> None:
    assert await execute(CommandBench(), "read", sensor="air-1") == {"temp": 4.3}


async def test_restart_and_output_act_on_the_sensor_that_they_name() -> None:
    bench = CommandBench()
    assert await execute(bench, "restart", sensor="air-1") is None
    assert await execute(bench, "output", sensor="air-1", value=1) is None
    assert await execute(bench, "output", sensor="air-1", value=False) is None
    assert (bench.sensor.restarts, bench.sensor.outputs) == (1, [True, False])
    for name in ("read", "restart", "output"):
        with pytest.raises(LookupError, match=r"^there is no sensor door-1$"):
            await execute(bench, name, sensor="door-1", value=1)


async def test_flush_writes_and_asks_for_everything_to_be_sent() -> None:
    bench = CommandBench()
    assert await execute(bench, "flush") == {"unsettled": 3}
    assert bench.store.flushes == 1
    assert bench.context.flush_requested


async def test_plan_hands_on_the_envelope() -> None:
    bench = CommandBench()
    assert await execute(bench, "plan", envelope={"payload": ""}) == {"restarts": []}
    assert bench.planned == [b'{"payload": ""}']


async def test_renew_and_certificate_renew_the_certificate() -> None:
    bench = CommandBench()
    assert await execute(bench, "renew") == {"csr": "request"}
    assert await execute(bench, "certificate", pem="PEM") == {"not_after": 3}


@pytest.mark.parametrize(
    ("first", "last", "sent", "result"),
    [
        (1, 10, [(4, 11)], {"sent": 7, "gone": 3}),
        (0, 999, [(4, 11)], {"sent": 7, "gone": 3}),
        (5, 6, [(5, 7)], {"sent": 2, "gone": 0}),
        (2, 3, [], {"sent": 0, "gone": 2}),
        (9, 2, [], {"sent": 0, "gone": 0}),
        (11, 20, [], {"sent": 0, "gone": 0}),
    ],
)
async def test_resend_sends_what_the_store_still_has(
    first: int, last: int, sent: list[tuple[int, int]], result: object
) -> None:
    bench = CommandBench()
    arguments = {"stream": "telemetry/air-1", "ep": EPOCH, "from": first, "to": last}
    assert await execute(bench, "resend", **arguments) == result
    assert bench.uplink.sent_again == [("telemetry/air-1", *pair) for pair in sent]


async def test_an_equal_resend_within_a_minute_is_answered_and_not_sent_again() -> None:
    bench = CommandBench()
    arguments = {"stream": "telemetry/air-1", "ep": EPOCH, "from": 5, "to": 6}
    first = await execute(bench, "resend", **arguments)
    assert await execute(bench, "resend", **arguments) == first
    assert await execute(bench, "resend", **{**arguments, "to": 7}) == {"sent": 3, "gone": 0}
    assert len(bench.uplink.sent_again) == 2
    for key, (sent_s, result) in bench.context.recent_resends.items():
        bench.context.recent_resends[key] = sent_s - 61, result
    assert await execute(bench, "resend", **arguments) == first
    assert len(bench.uplink.sent_again) == 3
    assert len(bench.context.recent_resends) == 1


async def test_resend_names_what_does_not_exist() -> None:
    bench = CommandBench()
    with pytest.raises(LookupError, match=r"^there is no stream telemetry/b$"):
        await execute(bench, "resend", stream="telemetry/b", ep=EPOCH, **{"from": 1, "to": 2})
    with pytest.raises(LookupError, match=r"^the stream has no epoch bbbbbbbb$"):
        await execute(bench, "resend", stream="telemetry/air-1", ep="bbbbbbbb", **{"from": 1, "to": 2})
