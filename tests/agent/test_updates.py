"""What becomes of a configuration: with real files, keys and signatures, and a site that only notes what it is told."""

import asyncio
import base64
import errno
import json
from pathlib import Path
from typing import Any

import pytest

from agent.core import trust
from agent.core.config_resolve import ResolvedConfig
from agent.core.moment import rfc_3339
from agent.core.reading import Stamp
from agent.core.update_state import Generation
from agent.core.version_mark import Mark
from agent.edges import clock, signatures
from agent.edges.catalog import Catalog
from agent.edges.update_dir import Folder, UpdateDir
from tests.agent.update_gateway import DAY_MS, NOW_MS, Gateway
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import until


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    gateway = Gateway(tmp_path)
    (tmp_path / "trust.json").write_bytes(gateway.maintainer.trust())
    gateway.write("air-a")
    return gateway


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each process that verified signatures."""
    count: list[int] = []
    really = signatures.verified

    async def counted(asked: Any) -> Any:
        count.append(len(asked))
        return await really(asked)

    monkeypatch.setattr(signatures, "verified", counted)
    return count


async def test_the_accepted_message_after_a_refused_one_is_not_verified_again(
    gateway: Gateway, verified: list[int]
) -> None:
    async with gateway.running():
        good, bad = gateway.payload(1, "air-a", "air-b"), gateway.payload(2, "air-a", target={"gateways": ["other"]})
        gateway.send(good)
        await gateway.report(1, "confirmed")
        gateway.send(bad)
        await gateway.report(2, "rejected")
        before = len(verified)
        for _ in range(10):
            gateway.send(good)
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        assert len(verified) == before
        # One that says the same in other bytes is verified, once.
        for _ in range(10):
            gateway.send(good[:-1] + b" }")
            await asyncio.sleep(0.02)
        await until(lambda: len(verified) > before)
        await asyncio.sleep(1)
        assert len(verified) == before + 1


async def test_an_edit_during_a_trial_that_fails_leaves_the_payload_known_as_bad(gateway: Gateway) -> None:
    gateway.site.silent = {"air-x"}
    async with gateway.running():
        wanted = gateway.payload(1, "air-a", "air-x", confirm_s=600)
        gateway.send(wanted)
        await gateway.report(1, "probation")
        (gateway.folder / "local.toml").write_text('[[sensor]]\nid = "air-a"\ninterval_s = 9\n')
        gateway.updates.edited()
        await until(lambda: gateway.site.intervals == {"air-a": 9, "air-x": 1})
    # Stopped in good order three times: none of them counts.
    for _ in range(4):
        async with gateway.running():
            await gateway.report(1, "probation")
    # Killed three times: that counts.
    for _ in range(3):
        await gateway.made().first()
    async with gateway.running():
        cause = (await gateway.report(1, "rolled_back"))["cause"]
        assert cause["code"] == "attempts"
        gateway.send(wanted)
        await asyncio.sleep(0.5)
        gateway.send(wanted[:-1] + b" }")
        assert (await gateway.report(1, "rejected"))["cause"]["code"] == "known_bad"


async def test_a_change_that_cannot_be_applied_is_taken_back_at_once(gateway: Gateway) -> None:
    gateway.site.fails = "air-x"
    async with gateway.running():
        gateway.send(gateway.payload(1, "air-a", "air-x"))
        report = await gateway.report(1, "rolled_back")
        assert report["cause"]["code"] == "apply"
        assert gateway.site.intervals == {"air-a": 1}
        gateway.send(gateway.payload(2, "air-a", "air-b"))
        await gateway.report(2, "confirmed")


EXPIRES_MS = NOW_MS + 10 * DAY_MS


@pytest.mark.parametrize("stopped", [False, True], ids=["running on", "after a restart"])
@pytest.mark.parametrize(
    ("phase", "set_to", "kept"),
    [
        ("probation", EXPIRES_MS - 1, True), ("probation", EXPIRES_MS, False),
        ("confirmed", EXPIRES_MS - 1, True), ("confirmed", EXPIRES_MS, False),
        ("edited", EXPIRES_MS - 1, True), ("edited", EXPIRES_MS, False),
    ],
)  # fmt: skip
async def test_what_was_accepted_with_an_unset_clock_is_asked_for_its_expiry_once_it_is_set(
    gateway: Gateway, phase: str, set_to: int, kept: bool, stopped: bool
) -> None:
    gateway.stamp = Stamp(0, 0, 0)
    gateway.site.uplink.telemetry_acknowledged = phase != "probation"
    wanted = gateway.payload(1, "air-a", interval_s=7)

    async def settled() -> None:
        gateway.stamp = Stamp(set_to, 0, 1)
        gateway.updates._inbox.wake.set()
        if kept:
            await asyncio.sleep(0.3)
            assert gateway.site.intervals["air-a"] == 7
            return
        report = await gateway.report(1, "rolled_back")
        assert (report["cause"]["code"], report["running"]["version"]) == ("expired", 0)
        assert gateway.site.intervals["air-a"] == 1
        assert any(row["ev"] == "config_rolled_back" for row in gateway.events)
        gateway.send(wanted[:-1] + b" }")
        assert (await gateway.report(1, "rejected"))["cause"]["code"] == "known_bad"

    async with gateway.running():
        gateway.send(wanted)
        await gateway.report(1, "probation" if phase == "probation" else "confirmed")
        if phase == "edited":
            (gateway.folder / "local.toml").write_text('[[sensor]]\nid = "air-b"\ndriver = "system"\n')
            gateway.updates.edited()
            await until(lambda: len(gateway.site.setups) > 2)
            await gateway.report(1, "confirmed")
        if not stopped:
            await settled()
    if stopped:
        async with gateway.running():
            await settled()
    async with gateway.running():
        assert gateway.site.intervals["air-a"] == (7 if kept else 1)


@pytest.mark.parametrize("unset", [False, True])
async def test_with_an_unset_clock_only_what_expired_before_it_can_be_is_refused(gateway: Gateway, unset: bool) -> None:
    gateway.stamp = Stamp(0, 0, 0) if unset else Stamp(NOW_MS, 0, 1)
    async with gateway.running():
        issued = {"issued": rfc_3339(clock.BUILD_MS - 2 * DAY_MS), "expires": rfc_3339(clock.BUILD_MS - DAY_MS)}
        gateway.send(gateway.payload(1, "air-a", **issued))
        assert (await gateway.report(1, "rejected"))["cause"]["code"] == "expired"
        between = {"issued": rfc_3339(clock.BUILD_MS - DAY_MS), "expires": rfc_3339(clock.BUILD_MS + DAY_MS)}
        gateway.send(gateway.payload(2, "air-a", **between))
        await gateway.report(2, "confirmed") if unset else await asyncio.sleep(1)
        assert gateway.site.reports[-1]["state"] == ("confirmed" if unset else "rejected")


async def test_with_an_unset_clock_what_expired_before_a_time_server_was_heard_is_refused(gateway: Gateway) -> None:
    gateway.stamp, gateway.proven_ms = Stamp(0, 0, 0), NOW_MS
    async with gateway.running():
        over = {"issued": rfc_3339(NOW_MS - 2 * DAY_MS), "expires": rfc_3339(NOW_MS - 1000)}
        gateway.send(gateway.payload(1, "air-a", **over))
        assert (await gateway.report(1, "rejected"))["cause"]["code"] == "expired"
        gateway.send(gateway.payload(2, "air-a"))
        await gateway.report(2, "confirmed")


class _Trust:
    """A first root, and a second one that hands the configurations to another key."""

    def __init__(self, maintainer: Maintainer, other: Maintainer) -> None:
        first, roles = maintainer.root, dict(maintainer.root.roles)
        roles["config"] = other.root.roles["config"]
        second = trust.Root(2, first.issued_ms, first.expires_ms, roles, None, "")
        third = trust.Root(3, first.issued_ms, first.expires_ms, roles, None, "")
        signed = [maintainer._signed(trust.TRUST_TYPE, trust.payload(one), "root") for one in (first, second)]
        self.chain = trust.written_chain(signed)
        strange = other._signed(trust.TRUST_TYPE, trust.payload(third), "root")
        self.with_a_stranger = trust.written_chain([*signed, strange])


async def test_a_configuration_that_came_before_its_trust_is_taken_when_that_has_come(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    other = Maintainer(gateway.folder / "other")
    roots = _Trust(gateway.maintainer, other)
    async with gateway.running():
        first, gateway.maintainer = gateway.maintainer, other
        gateway.send(gateway.payload(1, "air-a", "air-b"))
        gateway.maintainer = first
        assert (await gateway.report(0, "rejected"))["cause"]["code"] == "wrong_key"
        gateway.send(roots.with_a_stranger, "trust")
        report = await gateway.report(1, "confirmed")
        assert report["trust_version"] == 2
    assert "config/trust cannot be used: [2]" in caplog.text


async def test_a_driver_that_was_missing_is_found_after_a_reload(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = False
    really = Catalog.get

    def get(self: Catalog, name: str, *more: Any) -> Any:
        return really(self, name if there or name != "system" else "sistem", *more)

    async with gateway.running():
        monkeypatch.setattr(Catalog, "get", get)
        gateway.send(gateway.payload(1, "air-a", "air-b"))
        assert (await gateway.report(1, "rejected"))["cause"]["code"] == "driver_unknown"
        there = True
        gateway.updates.edited()
        await gateway.report(1, "confirmed")


async def test_the_same_refusal_again_and_again_is_one_event(gateway: Gateway) -> None:
    async with gateway.running():
        for number in range(5):
            count = len(gateway.site.reports)
            gateway.send(b"{%d" % number)
            await until(lambda count=count: len(gateway.site.reports) > count)  # type: ignore[misc]
    assert [row["ev"] for row in gateway.events] == ["config_rejected"]


class FullDisk:
    """Writes fail from ``fail_at`` on, until it is set to -1; ``after``: they happen nevertheless."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
        self.fail_at = -1
        self.writes = 0
        really = Folder.write

        def write(folder: Folder, name: str, content: bytes) -> None:
            self.writes += 1
            failing = 0 <= self.fail_at < self.writes
            if not failing or after:
                really(folder, name, content)
            if failing:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Folder, "write", write)


@pytest.mark.parametrize("after", [False, True], ids=["not written", "written"])
@pytest.mark.parametrize("outcome", ["confirmed", "rolled_back"])
@pytest.mark.parametrize("fail_at", range(9))
async def test_a_full_disk_at_each_write_stops_nothing_and_is_caught_up_with(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, fail_at: int, outcome: str, after: bool
) -> None:
    monkeypatch.setattr("agent.update_steps.SETTLE_S", 0.05)
    monkeypatch.setattr("agent.update_inbox._AGAIN_S", 0.05)
    gateway.site.silent = {"air-x"}
    async with gateway.running():
        disk = FullDisk(monkeypatch, after)
        disk.fail_at = fail_at
        gateway.send(gateway.payload(1, "air-a", "air-x" if outcome == "rolled_back" else "air-b", interval_s=7))
        # A change that the disk does not take is refused for the time being; a later step goes on all the same.
        await until(lambda: gateway.site.reports[-1]["state"] in ("rejected", outcome))
        assert gateway.site.reports[-1]["state"] == outcome or gateway.site.reports[-1]["cause"]["code"] == "not_kept"
        disk.fail_at = -1
        await gateway.report(1, outcome)
        await until(lambda: not gateway.updates._dir.unwritten)
        intervals = {"air-a": 7, "air-b": 7} if outcome == "confirmed" else {"air-a": 1}
        assert gateway.site.intervals == intervals
    async with gateway.running():
        assert gateway.site.intervals == intervals
        await gateway.report(1, outcome)


async def test_a_disk_that_takes_nothing_at_the_start_keeps_no_gateway_from_running(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    FullDisk(monkeypatch, after=False).fail_at = 0
    async with gateway.running():
        assert gateway.site.intervals == {"air-a": 1}


async def test_an_internal_error_refuses_the_message_and_nothing_else(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise RecursionError("unforeseen")

    async with gateway.running():
        with monkeypatch.context() as broken:
            broken.setattr("agent.core.desired.examine", fail)
            gateway.send(gateway.payload(1, "air-a", "air-b"))
            assert (await gateway.report(0, "rejected"))["cause"]["code"] == "internal_error"
        gateway.send(gateway.payload(2, "air-a", "air-b"))
        await gateway.report(2, "confirmed")


async def test_a_trial_that_cannot_be_judged_is_taken_back(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("agent.update_trial.Trial.judge", fail)
    async with gateway.running():
        gateway.send(gateway.payload(1, "air-a", "air-b"))
        assert (await gateway.report(1, "rolled_back"))["cause"]["code"] == "internal_error"
        assert gateway.site.intervals == {"air-a": 1}


async def test_a_gateway_that_is_restarted_every_day_is_not_on_trial_for_ever(gateway: Gateway) -> None:
    gateway.site.silent = {"air-x"}
    async with gateway.running():
        gateway.send(gateway.payload(1, "air-a", "air-x", confirm_s=80_000))
        await gateway.report(1, "probation")
        trial = gateway.updates._running.trial
        assert trial is not None
        trial.began_s -= 79_000
    async with gateway.running():
        await gateway.report(1, "probation")
        trial = gateway.updates._running.trial
        assert trial is not None
        assert trial.probation.deadline_s == pytest.approx(1000, abs=10)
        trial.began_s -= 1010
        assert (await gateway.report(1, "rolled_back"))["cause"]["code"] == "sensor"


async def test_a_broker_that_does_not_send_the_state_back_as_before_is_left(gateway: Gateway) -> None:
    async with gateway.running():
        changed = gateway.site.change

        async def change(resolved: ResolvedConfig) -> None:
            await changed(resolved)
            gateway.site.uplink.echoed = len(resolved.settings.sensor) == 1

        gateway.site.change = change  # type: ignore[method-assign]
        gateway.send(gateway.payload(1, "air-a", "air-b"))
        assert (await gateway.report(1, "rolled_back"))["cause"]["code"] == "broker"


@pytest.mark.parametrize("before", [False, True])
async def test_a_configuration_that_this_release_refuses_is_not_forgotten(gateway: Gateway, before: bool) -> None:
    wanted = json.loads(base64.b64decode(json.loads(gateway.payload(5, "air-a", interval_s=7))["payload"]))
    wanted["config"]["publish"] = {"colour": "blue"}
    kept = UpdateDir(Folder(gateway.folder / "config"))
    if before:
        older = base64.b64decode(json.loads(gateway.payload(4, "air-a", interval_s=9))["payload"]).decode()
        kept.adopt(Generation(gateway.file.read_text(), "", older))
    newer = Generation(gateway.file.read_text(), "", json.dumps(wanted))
    kept.stage(newer, "h", "m", Mark(5, "h", 1))
    kept.confirm()
    for _ in range(2):
        async with gateway.running():
            report = await gateway.report(5, "rejected")
            assert (report["cause"]["code"], report["running"]["version"]) == ("degraded", 4 if before else 0)
            assert gateway.site.intervals == {"air-a": 9 if before else 1}
        assert UpdateDir(Folder(gateway.folder / "config")).state.good == newer.name
