"""Configurations on trial: kept or taken back, over restarts, clocks that are set and disks that are full."""

import errno
from pathlib import Path

import pytest

from agent.base.io.atomic_files import AtomicDirectory
from agent.config.resolve import ResolvedConfig
from agent.update.probation import Observation
from tests.agent.update.update_gateway import DAY_MS, NOW_MS, TIMINGS, FakeRuntime, Gateway, outcome

EXPIRES_MS = NOW_MS + 10 * DAY_MS


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


async def test_a_sensor_that_gives_nothing_in_time_takes_the_configuration_back(gateway: Gateway) -> None:
    gateway.runtime.silent = {"air-x"}
    async with gateway.running():
        await gateway.send(gateway.payload(1, "air-a", "air-x", confirm_s=60))
        assert outcome(await gateway.step(59)) == (1, "probation", "")
        assert outcome(await gateway.step(1)) == (1, "rolled_back", "sensor")
        assert gateway.runtime.intervals == {"air-a": 1}
    assert "config_rolled_back" in gateway.journal.names


async def test_going_back_is_tried_again_before_the_process_ends(gateway: Gateway) -> None:
    gateway.runtime.silent = {"air-x"}
    async with gateway.running():
        await gateway.send(gateway.payload(1, "air-a", "air-x", confirm_s=60))
        gateway.runtime.failures = 1
        assert outcome(await gateway.step(60)) == (1, "rolled_back", "sensor")
        assert gateway.runtime.intervals == {"air-a": 1}


async def test_an_edit_during_a_trial_that_fails_leaves_the_payload_known_as_bad(gateway: Gateway) -> None:
    gateway.runtime.silent = {"air-x"}
    async with gateway.running():
        wanted = gateway.payload(1, "air-a", "air-x", confirm_s=600)
        assert outcome(await gateway.send(wanted)) == (1, "probation", "")
        (gateway.folder / "local.toml").write_text('[[sensor]]\nid = "air-a"\ninterval_s = 9\n')
        await gateway.edit()
        assert gateway.runtime.intervals == {"air-a": 9, "air-x": 1}
    # Stopped in good order three times: none of them counts.
    for _ in range(4):
        async with gateway.running():
            assert outcome(gateway.report) == (1, "probation", "")
    # Killed three times: that counts.
    for _ in range(3):
        await gateway.killed()
    async with gateway.running():
        assert outcome(gateway.report) == (1, "rolled_back", "attempts")
        assert outcome(await gateway.send(wanted)) == (1, "rolled_back", "attempts")
        assert outcome(await gateway.send(wanted[:-1] + b" }")) == (1, "rejected", "known_bad")


@pytest.mark.parametrize("stopped", [False, True], ids=["running on", "after a restart"])
@pytest.mark.parametrize("phase", ["probation", "confirmed", "edited"])
@pytest.mark.parametrize(("set_to", "kept"), [(EXPIRES_MS - 1, True), (EXPIRES_MS, False)])
async def test_what_was_accepted_with_an_unset_clock_is_asked_for_its_expiry_once_it_is_set(
    gateway: Gateway, phase: str, set_to: int, kept: bool, stopped: bool
) -> None:
    gateway.clock.set(0, 0)
    gateway.runtime.acknowledged = phase != "probation"
    wanted = gateway.payload(1, "air-a", interval_s=7, confirm_s=600)

    async def settled() -> None:
        gateway.clock.set(set_to)
        await gateway.step()
        if kept:
            assert gateway.runtime.intervals["air-a"] == 7
            return
        assert (*outcome(gateway.report), gateway.report["running"]["version"]) == (1, "rolled_back", "expired", 0)
        assert gateway.runtime.intervals["air-a"] == 1
        assert "config_rolled_back" in gateway.journal.names
        assert outcome(await gateway.send(wanted[:-1] + b" }")) == (1, "rejected", "known_bad")

    async with gateway.running():
        state = "probation" if phase == "probation" else "confirmed"
        assert outcome(await gateway.send(wanted)) == (1, state, "")
        if phase == "edited":
            (gateway.folder / "local.toml").write_text('[[sensor]]\nid = "air-b"\ndriver = "system"\n')
            assert outcome(await gateway.edit()) == (1, "confirmed", "")
            assert "air-b" in gateway.runtime.intervals
        if not stopped:
            await settled()
    if stopped:
        async with gateway.running():
            await settled()
    async with gateway.running():
        assert gateway.runtime.intervals["air-a"] == (7 if kept else 1)


class FullDisk(AtomicDirectory):
    """Writes fail from ``fail_at`` on, until it is set to -1; ``after``: they happen nevertheless."""

    def __init__(self, path: Path, after: bool) -> None:
        super().__init__(path)
        self._after = after
        self._writes = 0
        self.fail_at = -1

    def write(self, name: str, content: bytes) -> None:
        failing = 0 <= self.fail_at <= self._writes
        self._writes += self.fail_at >= 0
        if not failing or self._after:
            super().write(name, content)
        if failing:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("after", [False, True], ids=["not written", "written"])
@pytest.mark.parametrize("result", ["confirmed", "rolled_back"])
@pytest.mark.parametrize("fail_at", range(9))
async def test_a_full_disk_at_each_write_stops_nothing_and_is_caught_up_with(
    tmp_path: Path, fail_at: int, result: str, after: bool
) -> None:
    disk = FullDisk(tmp_path / "config", after)
    gateway = Gateway(tmp_path, files=disk)
    gateway.runtime.silent = {"air-x"}
    intervals = {"air-a": 7, "air-b": 7} if result == "confirmed" else {"air-a": 1}
    async with gateway.running():
        disk.fail_at = fail_at
        # A change that the disk does not take is refused for the time being; a later step goes on all the same.
        await gateway.send(gateway.payload(1, "air-a", "air-x" if result == "rolled_back" else "air-b", interval_s=7))
        await gateway.step(2)
        assert outcome(gateway.report)[1] == result or outcome(gateway.report)[2] == "not_saved"
        disk.fail_at = -1
        await gateway.step(TIMINGS.retry_s + TIMINGS.settle_s)
        await gateway.step(2)
        assert outcome(gateway.report)[:2] == (1, result)
        assert not gateway.parts.store.unwritten
        assert gateway.runtime.intervals == intervals
    async with gateway.running():
        assert gateway.runtime.intervals == intervals
        assert outcome(gateway.report)[:2] == (1, result)


async def test_a_disk_that_takes_nothing_at_the_start_keeps_no_gateway_from_running(tmp_path: Path) -> None:
    disk = FullDisk(tmp_path / "config", after=False)
    disk.fail_at = 0
    gateway = Gateway(tmp_path, files=disk)
    async with gateway.running():
        assert gateway.runtime.intervals == {"air-a": 1}


class Unseen(FakeRuntime):
    """What runs cannot be observed while a candidate does."""

    def observe(self) -> Observation:
        if len(self.changes[-1].settings.sensor) > 1:
            raise ZeroDivisionError
        return super().observe()


async def test_a_trial_that_cannot_be_judged_is_taken_back(gateway: Gateway) -> None:
    gateway.runtime = Unseen()
    async with gateway.running():
        report = await gateway.send(gateway.payload(1, "air-a", "air-b"))
        assert outcome(report) == (1, "rolled_back", "internal_error")
        assert gateway.runtime.intervals == {"air-a": 1}


async def test_a_gateway_that_is_restarted_every_day_is_not_on_trial_for_ever(gateway: Gateway) -> None:
    gateway.runtime.silent = {"air-x"}
    async with gateway.running():
        await gateway.send(gateway.payload(1, "air-a", "air-x", confirm_s=80_000))
        assert outcome(await gateway.step(79_000)) == (1, "probation", "")
    async with gateway.running():
        assert outcome(await gateway.step(999)) == (1, "probation", "")
        assert outcome(await gateway.step(2)) == (1, "rolled_back", "sensor")


class Mute(FakeRuntime):
    """Its broker does not send the gateway's own state back once two sensors run."""

    async def change(self, resolved: ResolvedConfig) -> None:
        await super().change(resolved)
        self.echoed = len(resolved.settings.sensor) == 1


async def test_a_broker_that_does_not_send_the_state_back_as_before_is_left(gateway: Gateway) -> None:
    gateway.runtime = Mute()
    async with gateway.running():
        assert outcome(await gateway.send(gateway.payload(1, "air-a", "air-b", confirm_s=100))) == (1, "probation", "")
        await gateway.step(99)
        assert outcome(await gateway.step(2)) == (1, "rolled_back", "broker")
