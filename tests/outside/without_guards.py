"""What takes out the fixes of what comes from outside: messages, topics, dates, names, reports, patterns."""

import json
import re
import sys
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from paho.mqtt.client import MQTTMessage

import agent.commands.arguments
import agent.commands.command
import agent.config.rules.broker
import agent.delivery.io.mqtt
import agent.fleet.reports
import agent.update.guard
import drivers.sdk.profiles.lines
from agent.commands.arguments import ArgumentType
from agent.commands.dispatcher import CommandDispatcher
from agent.delivery import wire
from agent.delivery.connection import Message
from agent.delivery.io.mqtt_connection import MqttConnection
from agent.delivery.policies.mqtt_packets import PacketFilter


def no_guard_for_commands() -> None:
    """1: half a character comes through to the reply, whose error ends the agent."""

    def reply(self: CommandDispatcher, lane: Any, command: Any, outcome: Any) -> None:
        payload = wire.reply(command.id, command.name, outcome.status, outcome.detail, outcome.result)
        lane.replies.append((self._topics.reply(command.id), payload, False))
        self._wake()

    agent.commands.command.loads = lambda raw, most: None  # type: ignore[assignment]
    parsers: Any = agent.commands.arguments._PARSERS
    parsers[ArgumentType.NAME] = parsers[ArgumentType.TEXT]
    CommandDispatcher._reply = reply  # type: ignore[method-assign]


def no_guard_for_topics() -> None:
    """2: a topic that is not UTF-8 raises in the reader of the socket."""

    def on_message(self: MqttConnection, client: Any, userdata: Any, message: MQTTMessage) -> None:
        self.on_message(Message(message.topic, bytes(message.payload), message.retain))

    def read(self: MqttConnection) -> None:
        self._last_received_s = self._loop.time()
        self._client.loop_read()

    MqttConnection._on_message = on_message  # type: ignore[method-assign]
    MqttConnection._read = read  # type: ignore[method-assign]


def no_limit_of_messages() -> None:
    """3: a message of any length is buffered whole."""
    agent.delivery.io.mqtt.PacketFilter = lambda most, five: PacketFilter(1 << 28, five)  # type: ignore[assignment,misc]


class Unforeseen(Exception):
    """What a library raises and nobody thought of."""


def no_check_of_hosts() -> None:
    """4: a name that no host can have passes the check, and raises what the uplink does not know."""
    really = agent.delivery.io.mqtt._open

    def open_(*arguments: Any) -> None:
        try:
            really(*arguments)
        except UnicodeError as error:
            raise Unforeseen(str(error)) from error

    agent.delivery.io.mqtt._open = open_
    agent.config.rules.broker._is_name = lambda host: True


def no_check_of_dates() -> None:
    """5: a date in year 0 or 10000 is taken, and raises when it is written."""

    async def run(self: Any, what: str, work: Coroutine[Any, Any, None]) -> None:
        await work

    def unix_ms(text: object) -> int | None:
        found = re.fullmatch(r"(\d{4,5})-.*", text) if isinstance(text, str) else None
        return None if found is None else (int(found[1]) - 1970) * 31_556_952_000

    def rfc_3339(t_ms: int) -> str:
        if not 0 < t_ms < 253_402_300_800_000:
            raise OverflowError(t_ms)
        return "2026-01-01T00:00:00Z"

    agent.update.guard.Guard.run = run  # type: ignore[method-assign]
    for module in [one for name, one in sys.modules.items() if name.startswith("agent.")]:
        if hasattr(module, "unix_ms"):
            module.unix_ms = unix_ms  # type: ignore[attr-defined]
        if hasattr(module, "rfc_3339"):
            module.rfc_3339 = rfc_3339  # type: ignore[attr-defined]


def gateways_are_believed() -> None:
    """6: what a gateway says is shown as it came, and the next version is above what any of them claims."""
    import agent.cli.fleet.push
    import agent.cli.fleet.status
    import agent.cli.listen

    def as_it_came(text: str, max_chars: int = 200) -> str:
        return text

    def plain_json(value: object, indent: int | None = None, compact: bool = False) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    def orders(wanted: Any, found: Any, versions: Any, sign: Any) -> Any:
        claimed = max(at.report.version for at in found.values())
        return really(wanted, found, replace(versions, floor=max(versions.floor, claimed)), sign)

    really = agent.cli.fleet.push._orders
    agent.cli.fleet.push._orders = orders
    agent.fleet.reports.loads = lambda raw, most: json.loads(raw)  # type: ignore[assignment]
    for module in [module for name, module in sys.modules.items() if name.startswith("agent.")]:
        for name, lenient in (("one_line", as_it_came), ("csv_cell", as_it_came), ("json_text", plain_json)):
            if hasattr(module, name):
                setattr(module, name, lenient)


def backtracking_patterns() -> None:
    """8: patterns are matched by Python's engine."""
    drivers.sdk.profiles.lines.compiled = re.compile  # type: ignore[assignment]
