"""What takes out the fixes of the way of a reading: sensor, store, delivery."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import agent.base.io.state_dir
import agent.commands.dispatcher
import agent.delivery.session
import agent.delivery.uplink
import agent.store.io.backend
import agent.store.io.database
import agent.store.store
from agent.base.events import rows_lost_unnumbered
from agent.delivery.backlog import Backlog
from agent.delivery.policies.poison import PoisonFinder
from agent.delivery.scheduler import Delivery
from agent.sensing.sensor_budget import SensorBudget
from agent.store.commit_timer import CommitTimer
from agent.store.disk_failure import FailureGrace
from agent.store.store import Store


def changing_while_iterating() -> None:
    """7: telling of dropped readings may drop another one."""

    def report_dropped(self: Store) -> None:
        for name, n in self._group.queue._dropped.items():
            self.announce(rows_lost_unnumbered(name, self.epoch, n, "memory"))
        self._group.queue._dropped.clear()

    Store._report_dropped = report_dropped  # type: ignore[method-assign]


def a_counter_that_must_be_written() -> None:
    """15: the session counter cannot be counted on a disk that takes nothing."""
    really = agent.base.io.state_dir.StateDir.write

    def next_generation(self: Any) -> int:
        text = self.read("gen").strip()
        generation = (int(text) if text.isdecimal() else 0) + 1
        really(self, "gen", f"{generation}\n")
        if self.read("gen").strip() != str(generation):
            raise OSError("no space left")
        return generation

    agent.base.io.state_dir.StateDir.next_generation = next_generation  # type: ignore[method-assign]


def no_rows_in_memory() -> None:
    """15, the other half: while the disk takes nothing, nothing gets a number."""
    FailureGrace.failed = lambda self, now_ms: False  # type: ignore[method-assign]


def damage_is_an_error_like_others() -> None:
    """16: a damaged file is not set aside."""

    def set_aside(self: Any, error: Exception) -> None:
        raise agent.store.io.backend.StoreError(str(error))

    agent.store.io.backend.Damage.set_aside = set_aside  # type: ignore[method-assign]


def nobody_looks_for_the_file() -> None:
    """17: a store that was deleted under the agent is not noticed."""
    agent.store.io.backend.StoreFiles.replaced = lambda self: False  # type: ignore[method-assign]


def one_epoch_over_power_cuts() -> None:
    """18: a reboot after an unclean end begins no new epoch."""
    os.environ.pop("GARDU_BOOT", None)


def losses_are_not_told() -> None:
    """20: what was in a file that was set aside, or in memory, is neither looked for nor counted."""
    really, give_up = Store.announce, agent.store.io.database.Database.give_up

    def announce(self: Store, row: Mapping[str, object]) -> None:
        if row.get("ev") != "rows_lost" or row.get("why") not in ("corrupt", "memory"):
            really(self, row)

    def silent(self: Any, commit: Any, lost: Any) -> None:
        commit.readings = []
        give_up(self, commit, lost)

    Store.announce = announce  # type: ignore[method-assign]
    agent.store.io.database.Database.give_up = silent  # type: ignore[method-assign]
    agent.store.io.backend.Backend.store_rescued = lambda self, rows: 0  # type: ignore[method-assign]


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
    Delivery.skip_unacknowledged = lambda self, before_s: None  # type: ignore[method-assign]


def a_message_for_each_row() -> None:
    """22: whatever tokens there are is sent at once."""

    def next_ranges(self: Backlog, open_streams: list[str]) -> Any:
        owed = [(stream, rows) for stream in open_streams if (rows := self._next_unsent(stream)) is not None]
        if self._tokens.fill(self._now_s()) >= 1 and self._window.has_room(late=True):
            return [(stream, *rows, 1) for stream, rows in owed]
        self._tokens.wait_for(1)
        return []

    Backlog.next_ranges = next_ranges  # type: ignore[method-assign]


def descriptions_once() -> None:
    """23: an older description is sent once a session."""

    def send_again(self: Any, stream: str, start: int, stop: int) -> None:
        self._lane.resend[stream].add(start, stop)
        self._wake.set()

    agent.delivery.uplink.Uplink.send_again = send_again  # type: ignore[method-assign]


def old_topics_stay() -> None:
    """24: what stands at an old path is not cleared."""
    agent.delivery.session._MAX_CLEAR_ATTEMPTS = 0


def replies_are_forgotten() -> None:
    """25: a repeated command is answered without its result."""
    really = agent.commands.dispatcher.CommandRecord.put

    def put(self: Any, identity: str, outcome: Any) -> None:
        really(self, identity, type(outcome)(outcome.status, outcome.detail, None, outcome.expires_ms))

    agent.commands.dispatcher.CommandRecord.put = put  # type: ignore[method-assign]


def no_budget() -> None:
    """37: a sensor may store what it likes."""
    SensorBudget.allows = lambda self, stream, now_s: True  # type: ignore[method-assign]
    SensorBudget.pause_s = lambda self: 0.0  # type: ignore[method-assign]


def no_back_pressure() -> None:
    """38: sensors do not wait for room."""

    async def wait_for_room(self: Store) -> None:
        return

    Store.wait_for_room = wait_for_room  # type: ignore[method-assign]
    SensorBudget.allows = lambda self, stream, now_s: True  # type: ignore[method-assign]
