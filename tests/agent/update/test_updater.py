"""What becomes of each configuration that comes: taken, refused, or looked at once more."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from agent.base.io import clock
from agent.base.io.atomic_files import AtomicDirectory
from agent.base.timekeeping.trusted_time import rfc_3339
from agent.config.generation import Generation
from agent.config.io.catalog import Catalog
from agent.update.io.update_dir import UpdateDir
from agent.update.signed import trust
from agent.update.signed.version_mark import Mark
from drivers.sdk.contract import Driver
from tests.agent.update.update_gateway import DAY_MS, NOW_MS, Gateway, outcome
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import until


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


async def test_it_follows_by_itself(gateway: Gateway) -> None:
    async with gateway.running():
        following = asyncio.create_task(gateway.updater.run())
        gateway.parts.inbox.on_message(gateway.message(gateway.payload(1, "air-a", "air-b")))
        await until(lambda: outcome(gateway.report) == (1, "confirmed", "") or following.done())
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert gateway.runtime.intervals == {"air-a": 1, "air-b": 1}


async def test_a_configuration_is_confirmed_once_its_sensors_and_the_broker_answer(gateway: Gateway) -> None:
    gateway.runtime.silent = {"air-b"}
    async with gateway.running():
        assert outcome(await gateway.send(gateway.payload(1, "air-a", "air-b", confirm_s=60))) == (1, "probation", "")
        gateway.runtime.silent = set()
        assert outcome(await gateway.step(59)) == (1, "confirmed", "")
        assert gateway.report["running"]["version"] == 1
    async with gateway.running():
        assert gateway.runtime.intervals == {"air-a": 1, "air-b": 1}


async def test_the_accepted_message_after_a_refused_one_is_not_verified_again(gateway: Gateway) -> None:
    async with gateway.running():
        good, bad = gateway.payload(1, "air-a", "air-b"), gateway.payload(2, "air-a", target={"gateways": ["other"]})
        assert outcome(await gateway.send(good)) == (1, "confirmed", "")
        assert outcome(await gateway.send(bad)) == (2, "rejected", "target")
        before = len(gateway.verified)
        for _ in range(3):
            await gateway.send(good)
        assert len(gateway.verified) == before
        # One that says the same in other bytes is verified, once.
        for _ in range(3):
            await gateway.send(good[:-1] + b" }")
        assert len(gateway.verified) == before + 1


async def test_a_change_that_cannot_be_applied_is_taken_back_at_once(gateway: Gateway) -> None:
    gateway.runtime.impossible = "air-x"
    async with gateway.running():
        report = await gateway.send(gateway.payload(1, "air-a", "air-x"))
        assert outcome(report) == (1, "rolled_back", "apply")
        assert gateway.runtime.intervals == {"air-a": 1}
        assert outcome(await gateway.send(gateway.payload(2, "air-a", "air-b"))) == (2, "confirmed", "")


@pytest.mark.parametrize("unset", [False, True])
async def test_with_an_unset_clock_only_what_expired_before_it_can_be_is_refused(gateway: Gateway, unset: bool) -> None:
    gateway.clock.set(0 if unset else NOW_MS, 0 if unset else 1)
    async with gateway.running():
        issued = {"issued": rfc_3339(clock.BUILD_MS - 2 * DAY_MS), "expires": rfc_3339(clock.BUILD_MS - DAY_MS)}
        assert outcome(await gateway.send(gateway.payload(1, "air-a", **issued))) == (1, "rejected", "expired")
        between = {"issued": rfc_3339(clock.BUILD_MS - DAY_MS), "expires": rfc_3339(clock.BUILD_MS + DAY_MS)}
        report = await gateway.send(gateway.payload(2, "air-a", **between))
        assert outcome(report) == ((2, "confirmed", "") if unset else (2, "rejected", "expired"))


async def test_with_an_unset_clock_what_expired_before_a_time_server_was_heard_is_refused(gateway: Gateway) -> None:
    gateway.clock.set(0, 0)
    gateway.clock.proven_ms = NOW_MS
    async with gateway.running():
        over = {"issued": rfc_3339(NOW_MS - 2 * DAY_MS), "expires": rfc_3339(NOW_MS - 1000)}
        assert outcome(await gateway.send(gateway.payload(1, "air-a", **over))) == (1, "rejected", "expired")
        assert outcome(await gateway.send(gateway.payload(2, "air-a"))) == (2, "confirmed", "")


class _Trust:
    """A first root, and a second one that hands the configurations to another key."""

    def __init__(self, maintainer: Maintainer, other: Maintainer) -> None:
        first, roles = maintainer.root, dict(maintainer.root.roles)
        roles["config"] = other.root.roles["config"]
        second = trust.Root(2, first.issued_ms, first.expires_ms, roles, None, "")
        third = trust.Root(3, first.issued_ms, first.expires_ms, roles, None, "")
        signed = [maintainer._signed(trust.TRUST_TYPE, trust.encode_root(root), "root") for root in (first, second)]
        strange = other._signed(trust.TRUST_TYPE, trust.encode_root(third), "root")
        self.with_a_stranger = trust.encode_chain([*signed, strange])


async def test_a_configuration_that_came_before_its_trust_is_taken_when_that_has_come(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    other = Maintainer(gateway.folder / "other")
    roots = _Trust(gateway.maintainer, other)
    async with gateway.running():
        first, gateway.maintainer = gateway.maintainer, other
        wanted = gateway.payload(1, "air-a", "air-b")
        gateway.maintainer = first
        assert outcome(await gateway.send(wanted)) == (0, "rejected", "wrong_key")
        report = await gateway.send(roots.with_a_stranger, "trust")
        assert (*outcome(report), report["trust_version"]) == (1, "confirmed", "", 2)
    assert "cannot use config/trust: [2]" in caplog.text


class _Drivers(Catalog):
    """The driver ``system`` is away until it is ``there``."""

    there = True

    def get(self, name: str) -> Driver:
        return super().get(name if self.there or name != "system" else "sistem")


async def test_a_driver_that_was_missing_is_found_after_a_reload(tmp_path: Path) -> None:
    drivers = _Drivers()
    gateway = Gateway(tmp_path, drivers)
    async with gateway.running():
        drivers.there = False
        wanted = gateway.payload(1, "air-a", "air-b")
        assert outcome(await gateway.send(wanted)) == (1, "rejected", "driver_unknown")
        drivers.there = True
        assert outcome(await gateway.edit()) == (1, "confirmed", "")


async def test_the_same_refusal_again_and_again_is_one_event(gateway: Gateway) -> None:
    async with gateway.running():
        for number in range(5):
            await gateway.send(b"{%d" % number)
    assert gateway.journal.names == ["config_rejected"]


async def test_an_internal_error_refuses_the_message_and_nothing_else(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise RecursionError("unforeseen")

    async with gateway.running():
        with monkeypatch.context() as broken:
            broken.setattr("agent.update.signed.acceptance.examine", fail)
            report = await gateway.send(gateway.payload(1, "air-a", "air-b"))
            assert outcome(report) == (0, "rejected", "internal_error")
        assert outcome(await gateway.send(gateway.payload(2, "air-a", "air-b"))) == (2, "confirmed", "")


@pytest.mark.parametrize("before", [False, True])
async def test_a_configuration_that_this_release_refuses_is_not_forgotten(gateway: Gateway, before: bool) -> None:
    wanted = json.loads(base64.b64decode(json.loads(gateway.payload(5, "air-a", interval_s=7))["payload"]))
    wanted["config"]["publish"] = {"colour": "blue"}
    kept = UpdateDir(AtomicDirectory(gateway.folder / "config"))
    if before:
        older = base64.b64decode(json.loads(gateway.payload(4, "air-a", interval_s=9))["payload"]).decode()
        kept.adopt(Generation(gateway.file.read_text(), "", older))
    newer = Generation(gateway.file.read_text(), "", json.dumps(wanted))
    kept.stage(newer, "h", "m", Mark(5, "h", 1))
    kept.confirm()
    for _ in range(2):
        async with gateway.running():
            assert outcome(gateway.report) == (5, "rejected", "degraded")
            assert gateway.report["running"]["version"] == (4 if before else 0)
            assert gateway.runtime.intervals == {"air-a": 9 if before else 1}
        assert UpdateDir(AtomicDirectory(gateway.folder / "config")).state.good == newer.name
