"""Commands are executed at most once, in lanes that do not hold up each other, and each gets a reply."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.commands.dispatcher import CommandDispatcher
from agent.commands.record import SLOTS
from agent.config.settings import Commands
from tests.agent.commands.command_bench import NOW_MS, TOPICS, CommandBench, message, settle

ALLOWED = Commands(allow=("restart", "output", "flush"))


def body(identity: str = "a1", **arguments: Any) -> bytes:
    return json.dumps({"id": identity, "exp": NOW_MS + 1000, **arguments}).encode()


def signed(name: str, identity: str = "a1", gateway: str = "batua-01", **arguments: Any) -> bytes:
    inner = base64.b64encode(body(identity, command=name, gateway=gateway, **arguments)).decode()
    return json.dumps({"payloadType": "t", "payload": inner, "signatures": []}).encode()


class Running:
    """A dispatcher that runs, and its replies."""

    def __init__(self, bench: CommandBench) -> None:
        self.bench = bench
        self.dispatcher: CommandDispatcher = bench.dispatcher()
        self.task = asyncio.create_task(self.dispatcher.run())

    def send(self, name: str, payload: bytes, retain: bool = False) -> None:
        self.dispatcher.handle(message(name, payload, retain))

    async def replies(self) -> list[dict[str, Any]]:
        await settle()
        found = []
        while (answer := self.dispatcher.answer()) is not None:
            topic, payload, retained = answer
            reply = json.loads(payload)
            assert (topic, retained) == (TOPICS.reply(reply["id"]), False)
            found.append(reply)
        return found

    async def ask(self, name: str, payload: bytes) -> tuple[str, str]:
        self.send(name, payload)
        (reply,) = await self.replies()
        return reply["status"], reply["detail"]

    async def restart(self) -> None:
        self.task.cancel()
        await asyncio.wait((self.task,))
        self.dispatcher = self.bench.dispatcher()
        self.task = asyncio.create_task(self.dispatcher.run())


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    run = Running(CommandBench(ALLOWED))
    yield run
    run.task.cancel()
    await asyncio.wait((run.task,))


async def test_every_command_is_subscribed_to(running: Running) -> None:
    assert running.dispatcher.topics() == [f"{TOPICS.base}/command/+"]


async def test_a_command_is_executed_and_its_reply_wakes_the_uplink(running: Running) -> None:
    running.send("read", body(sensor="air-1"))
    (reply,) = await running.replies()
    assert reply == {"id": "a1", "command": "read", "status": "done", "detail": "", "result": {"temp": 4.3}}
    assert running.bench.wakes == 1
    assert running.bench.store.flushes == 0  # a command without effect costs the card no write


async def test_a_retained_or_empty_message_and_one_without_an_id_get_no_reply(running: Running) -> None:
    running.send("restart", signed("restart", sensor="air-1"), retain=True)
    running.send("ping", b"")
    running.send("ping", b"{}")
    assert await running.replies() == []
    assert running.bench.sensor.restarts == 0


async def test_a_command_is_executed_once_also_after_a_restart(running: Running) -> None:
    command = signed("restart", sensor="air-1")
    assert await running.ask("restart", command) == ("done", "")
    assert await running.ask("restart", command) == ("done", "it was carried out before")
    await running.restart()
    assert await running.ask("restart", command) == ("done", "it was carried out before")
    assert running.bench.sensor.restarts == 1


async def test_the_id_is_durable_before_the_effect(running: Running) -> None:
    running.bench.store.durable = False
    assert await running.ask("restart", signed("restart", sensor="air-1")) == (
        "rejected",
        "could not write the command's id to disk",
    )
    assert running.bench.sensor.restarts == 0
    running.bench.store.durable = True
    assert await running.ask("restart", signed("restart", "a2", sensor="air-1")) == ("done", "")
    assert running.bench.store.flushes == 3


async def test_an_unsigned_id_does_not_answer_for_a_signed_one(running: Running) -> None:
    assert (await running.ask("read", body(sensor="air-1")))[0] == "done"
    assert await running.ask("restart", signed("restart", "a1", sensor="air-1")) == ("done", "")
    assert running.bench.sensor.restarts == 1


async def test_a_signed_command_for_another_gateway_or_of_another_name_is_rejected(running: Running) -> None:
    detail = f"not meant for {TOPICS.base}"
    assert await running.ask("restart", signed("restart", gateway="batua-02", sensor="air-1")) == ("rejected", detail)
    assert await running.ask("restart", signed("output", sensor="air-1")) == ("rejected", detail)
    assert running.bench.sensor.restarts == 0


async def test_an_invalid_signature_is_rejected(running: Running) -> None:
    running.bench.open_error = RejectedError(Rejection.THRESHOLD, "not enough signatures")
    assert await running.ask("restart", signed("restart", sensor="air-1")) == ("rejected", "not enough signatures")
    assert running.bench.sensor.restarts == 0


async def test_signed_ids_are_not_evicted_while_they_could_be_repeated(running: Running) -> None:
    for number in range(SLOTS):
        entry = [number, f"old-{number}", "done", "", None, NOW_MS]
        running.bench.store.kept[f"command.signed.{number}"] = json.dumps(entry)
    assert await running.ask("restart", signed("restart", sensor="air-1")) == ("rejected", "too many commands at once")
    assert running.bench.sensor.restarts == 0


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (TimeoutError(), "failed", "TimeoutError"),
        (LookupError("no such thing"), "failed", "no such thing"),
        (RejectedError(Rejection.TARGET, "not here", "a.b"), "failed", "target: a.b: not here"),
        (ZeroDivisionError(), "failed", "internal_error"),
    ],
)
async def test_a_failure_is_a_reply(running: Running, error: Exception, status: str, detail: str) -> None:
    running.bench.sensor.error = error
    assert await running.ask("read", body(sensor="air-1")) == (status, detail)
    running.bench.sensor.error = None
    assert await running.ask("read", body("a2", sensor="air-1")) == ("done", "")


async def test_wrong_arguments_are_a_failure(running: Running) -> None:
    assert await running.ask("read", body()) == ("failed", "sensor is missing or not a string")
    assert await running.ask("read", body("a2", sensor="air-2")) == ("failed", "there is no sensor air-2")


async def test_a_flood_in_one_lane_holds_up_no_other(running: Running) -> None:
    for number in range(200):
        running.send("ping", body(f"flood-{number}", sensor="air-1"))
    running.send("restart", signed("restart", sensor="air-1"))
    running.send("read", signed("read", "a2", sensor="air-1"))
    replies = await running.replies()
    by_id = {reply["id"]: reply for reply in replies}
    assert (by_id["a1"]["status"], by_id["a2"]["status"]) == ("done", "done")
    busy = [reply for reply in replies if reply["detail"] == "too many commands at once"]
    assert len(busy) == 5
    assert {reply["status"] for reply in busy} == {"rejected"}


async def test_signed_commands_without_effect_cannot_use_up_the_verifier(running: Running) -> None:
    for number in range(50):
        running.send("ping", signed("ping", f"a{number}"))
    await settle()
    assert len(running.bench.opened) == 10


async def test_a_flush_is_reported_once(running: Running) -> None:
    assert not running.dispatcher.flushed()
    assert await running.ask("flush", signed("flush")) == ("done", "")
    assert running.dispatcher.flushed()
    assert not running.dispatcher.flushed()


async def test_a_result_that_json_cannot_carry_is_an_internal_error(running: Running) -> None:
    async def measure() -> dict[str, Any]:
        return {"temp": b"\xff"}

    running.bench.sensor.measure = measure  # type: ignore[method-assign]
    assert await running.ask("read", body(sensor="air-1")) == ("failed", "internal_error")
    assert await running.ask("diagnostics", body("a2")) == ("failed", "internal_error")  # the bench has no status
