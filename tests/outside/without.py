"""``gardu run`` without the fix of one defect (``WITHOUT``: its number, or several with ``+``), to measure how soon the
generators find it.

``python -m tests.outside.hunt`` runs the generators against it.
"""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from paho.mqtt.client import MQTTMessage

import agent.core.command
import agent.core.config_broker
import agent.core.moment
import agent.edges.broker
import agent.edges.clock
import agent.edges.database
import agent.edges.mqtt_link
import agent.edges.state_dir
import agent.edges.store
import agent.edges.store_backend
import agent.services.commands
import agent.services.session
import agent.services.uplink
import agent.update_guard
import drivers.sdk.profile_line
from agent.cli import main
from agent.core import wire
from agent.core.delivery_timings import DeliveryTimings
from agent.core.disk_patience import DiskPatience
from agent.core.link import Message
from agent.core.mqtt_packets import PacketFilter
from agent.core.poison import PoisonFinder
from agent.core.sensor_budget import SensorBudget
from agent.edges.commit_timer import CommitTimer
from agent.edges.mqtt_link import Link
from agent.edges.store import Store
from agent.services.backlog import Backlog
from agent.services.commands import CommandDesk
from agent.services.delivery import Delivery


def no_guard_for_commands() -> None:
    """1: half a character comes through to the reply, whose error ends the agent."""

    def answer(self: CommandDesk, lane: Any, one: Any, outcome: Any) -> None:
        payload = wire.reply(one.id, one.name, outcome.status, outcome.detail, outcome.result)
        lane.answers.append((self._topics.reply(one.id), payload, False))
        self._wake()

    agent.core.command.loads = lambda raw, most: None  # type: ignore[assignment]
    agent.core.command.name_of = agent.core.command.text
    CommandDesk._answer = answer  # type: ignore[method-assign]


def no_guard_for_topics() -> None:
    """2: a topic that is not UTF-8 raises in the reader of the socket."""

    def on_message(self: Link, client: Any, userdata: Any, message: MQTTMessage) -> None:
        self.on_message(Message(message.topic, bytes(message.payload), message.retain))

    def read(self: Link) -> None:
        self._heard = self._loop.time()
        self._client.loop_read()

    Link._on_message = on_message  # type: ignore[method-assign]
    Link._read = read  # type: ignore[method-assign]


def no_limit_of_messages() -> None:
    """3: a message of any length is buffered whole."""
    agent.edges.broker.PacketFilter = lambda most, five: PacketFilter(1 << 28, five)  # type: ignore[assignment,misc]


class Unforeseen(Exception):
    """What a library raises and nobody thought of."""


def no_check_of_hosts() -> None:
    """4: a name that no host can have passes the check, and raises what the uplink does not know."""
    really = agent.edges.broker._open

    def open_(*arguments: Any) -> None:
        try:
            really(*arguments)
        except UnicodeError as error:
            raise Unforeseen(str(error)) from error

    agent.edges.broker._open = open_
    agent.core.config_broker._is_name = lambda host: True


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

    agent.update_guard.Guard.run = run  # type: ignore[method-assign]
    for module in [one for name, one in sys.modules.items() if name.startswith("agent.")]:
        if hasattr(module, "unix_ms"):
            module.unix_ms = unix_ms  # type: ignore[attr-defined]
        if hasattr(module, "rfc_3339"):
            module.rfc_3339 = rfc_3339  # type: ignore[attr-defined]


def changing_while_iterating() -> None:
    """7: telling of dropped readings may drop another one."""

    def tell(self: Store) -> None:
        for name, n in self._group.queue._dropped.items():
            self.announce({"ev": "rows_lost", "stream": name, "n": n, "why": "memory"})
        self._group.queue._dropped.clear()

    async def room(self: Store) -> None:
        return

    Store._tell_dropped = tell  # type: ignore[method-assign]
    Store.room = room  # type: ignore[method-assign]


def backtracking_patterns() -> None:
    """8: patterns are matched by Python's engine."""
    drivers.sdk.profile_line.compiled = re.compile  # type: ignore[assignment]


def a_counter_that_must_be_written() -> None:
    """15: the session counter cannot be counted on a disk that takes nothing."""
    really = agent.edges.state_dir.StateDir.write

    def next_generation(self: Any) -> int:
        text = self.read("gen").strip()
        generation = (int(text) if text.isdecimal() else 0) + 1
        really(self, "gen", f"{generation}\n")
        if self.read("gen").strip() != str(generation):
            raise OSError("no space left")
        return generation

    agent.edges.state_dir.StateDir.next_generation = next_generation  # type: ignore[method-assign]


def no_rows_in_memory() -> None:
    """15, the other half: while the disk takes nothing, nothing gets a number."""
    DiskPatience.failed = lambda self, now_ms: False  # type: ignore[method-assign]


def damage_is_an_error_like_others() -> None:
    """16: a damaged file is not set aside."""

    def set_aside(self: Any, error: Exception) -> None:
        raise agent.edges.store_backend.StoreError(str(error))

    agent.edges.store_backend.Damage.set_aside = set_aside  # type: ignore[method-assign]


def nobody_looks_for_the_file() -> None:
    """17: a store that was deleted under the agent is not noticed."""
    agent.edges.store_backend.StoreFiles.replaced = lambda self: False  # type: ignore[method-assign]


def one_epoch_over_power_cuts() -> None:
    """18: a reboot after an unclean end begins no new epoch."""
    os.environ.pop("GARDU_BOOT", None)


def losses_are_not_told() -> None:
    """20: what is lost with a file that was set aside, or in memory, is not counted."""
    really = Store.announce

    def announce(self: Store, row: Mapping[str, object]) -> None:
        if row.get("ev") != "rows_lost" or row.get("why") not in ("corrupt", "memory"):
            really(self, row)

    Store.announce = announce  # type: ignore[method-assign]


def no_room_above_events() -> None:
    """19: what a PUBACK has armed is not shortened by a reading."""

    def wake_in(self: CommitTimer, delay_s: float) -> None:
        if delay_s <= 0:
            self._due.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._due.set)

    CommitTimer.wake_in = wake_in  # type: ignore[method-assign]


def no_poison() -> None:
    """21: the same message comes first again in each session."""
    PoisonFinder._failed = lambda self, flight, now_s: None  # type: ignore[method-assign]
    Delivery.pass_over = lambda self, before_s: None  # type: ignore[method-assign]


def a_message_for_each_row() -> None:
    """22: whatever tokens there are is sent at once."""

    def wanted(self: Backlog, open_streams: list[str]) -> Any:
        owed = [(stream, one) for stream in open_streams if (one := self._owed(stream)) is not None]
        if self._tokens.fill(self._now_s()) >= 1 and self._window.room(late=True):
            return [(stream, *one, 1) for stream, one in owed]
        self._tokens.wait_for(1)
        return []

    Backlog.wanted = wanted  # type: ignore[method-assign]


def descriptions_once() -> None:
    """23: an older description is sent once a session."""

    def send_again(self: Any, stream: str, start: int, stop: int) -> None:
        self._lane.again[stream].add(start, stop)
        self._wake.set()

    agent.services.uplink.Uplink.send_again = send_again  # type: ignore[method-assign]


def old_topics_stay() -> None:
    """24: what stands at an old path is not cleared."""
    agent.services.session._CLEARINGS = 0


def replies_are_forgotten() -> None:
    """25: a repeated command is answered without its result."""
    really = agent.services.commands.CommandRecord.put

    def put(self: Any, identity: str, outcome: Any) -> None:
        really(self, identity, type(outcome)(outcome.status, outcome.detail, None, outcome.expires_ms))

    agent.services.commands.CommandRecord.put = put  # type: ignore[method-assign]


def no_budget() -> None:
    """37: a sensor may store what it likes."""
    SensorBudget.takes = lambda self, stream, now_s: True  # type: ignore[method-assign]
    SensorBudget.pause_s = lambda self: 0.0  # type: ignore[method-assign]


def no_back_pressure() -> None:
    """38: sensors do not wait for room."""

    async def room(self: Store) -> None:
        return

    Store.room = room  # type: ignore[method-assign]
    SensorBudget.takes = lambda self, stream, now_s: True  # type: ignore[method-assign]


WITHOUT: Mapping[str, Callable[[], None]] = {
    "1": no_guard_for_commands, "2": no_guard_for_topics, "3": no_limit_of_messages, "4": no_check_of_hosts,
    "5": no_check_of_dates, "7": changing_while_iterating, "8": backtracking_patterns,
    "15": a_counter_that_must_be_written, "15b": no_rows_in_memory, "16": damage_is_an_error_like_others,
    "17": nobody_looks_for_the_file, "18": one_epoch_over_power_cuts, "19": no_room_above_events,
    "20": losses_are_not_told, "21": no_poison, "22": a_message_for_each_row, "23": descriptions_once,
    "24": old_topics_stay, "25": replies_are_forgotten, "37": no_budget, "38": no_back_pressure,
}  # fmt: skip

if __name__ == "__main__":
    for name in os.environ.get("WITHOUT", "").split("+"):
        WITHOUT.get(name, lambda: None)()
    # A topic that was refused is tried again after half a minute: here sooner.
    agent.services.uplink.DeliveryTimings = lambda: DeliveryTimings(pause_s=1.0)  # type: ignore[assignment,misc]
    if os.environ.get("GARDU_BOOT"):  # a test cuts the power
        agent.edges.clock.boot_id = lambda: os.environ["GARDU_BOOT"]
    sys.exit(main())
