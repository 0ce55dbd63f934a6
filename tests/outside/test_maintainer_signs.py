"""What maintainers sign and publish, who may, and what they are shown before and after."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.fleet.io import signing_key
from tests.support.agent_process import GATEWAY, AgentProcess, configuration, gardu, sensor, start_gardu
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder
from tests.support.simulated_fleet import SimulatedFleet

PLAIN = '[broker]\nurl = "mqtts://broker.example"\n[publish]\nmax_rows = 9\n'


def signers(folder: Path, *names: str) -> list[str]:
    """Keys of these people: the words that give them all."""
    for name in names:
        if not (folder / name).exists():
            signing_key.create(folder / name)
    return [word for name in names for word in ("--key", str(folder / name))]


async def trusted(folder: Path, *more: str) -> str:
    """A trust file of ayu, budi and citra, as it is made where nothing else is said."""
    both = signers(folder, "ayu", "budi")
    signers(folder, "citra")
    for name in ("ayu", "budi", "citra"):
        public = signing_key.load(folder / name).public.hex()
        (folder / f"{name}.pub").write_text(public)
    roles = [
        word
        for role in ("--root", "--config")
        for name in ("ayu", "budi", "citra")
        for word in (role, str(folder / f"{name}.pub"))
    ]
    file = str(folder / "trust.json")
    assert (await gardu("trust", "create", file, *roles, *more, *both))[0] == 0
    return file


async def sealed(folder: Path, text: str, version: int, *more: str) -> tuple[str, str]:
    """An envelope for pos-1 that ayu began and budi completed, and what budi was shown."""
    file = folder / "new.toml"
    file.write_text(text)
    out = str(folder / f"new-{version}.json")
    words = ("--gateway", GATEWAY, "--version", str(version), "--confirm-s", "20", "--out", out, "--yes")
    first = await gardu("config", "sign", str(file), *words, *signers(folder, "ayu"), *more)
    assert first[0] == 0, first
    second = await gardu("config", "sign", out, "--out", out, "--yes", *signers(folder, "budi"), *more)
    assert second[0] == 0, second
    return out, second[2]


def remote(broker: Mosquitto, more: str = "") -> str:
    return f'[broker]\nurl = "{broker.url}"\n[publish]\nmax_delay_s = 0.3\n' + sensor("load", "system", more=more)


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[tuple[Mosquitto, str]]:
    """A gateway that trusts two of three, and its broker."""
    file = await trusted(tmp_path)
    with Mosquitto(tmp_path) as broker, Recorder(broker.port) as recorder:
        async with AgentProcess(tmp_path, configuration(broker.url, [sensor("load", "system")])):
            await until(lambda: recorder.last("config/reported") is not None)
            yield broker, file


async def test_28_envelopes_signed_at_two_desks_are_published_and_followed(
    tmp_path: Path, post: tuple[Mosquitto, str]
) -> None:
    broker, _ = post
    at = ("--broker", broker.url)
    out, _ = await sealed(tmp_path, remote(broker), 1)
    assert await gardu("config", "publish", out, *at) == (0, "pos-1: confirmed\n", "")
    assert await gardu("config", "publish", out, *at) == (0, "pos-1: was already confirmed\n", "")
    half = str(tmp_path / "half.json")
    words = ("--gateway", GATEWAY, "--version", "2", "--out", half, "--yes", *signers(tmp_path, "ayu"))
    assert (await gardu("config", "sign", str(tmp_path / "new.toml"), *words))[0] == 0
    status, told, _ = await gardu("config", "publish", half, *at)
    assert (status, told) == (1, "pos-1: rejected: threshold: signed by 1 of 2 required keys\n")
    assert await gardu("config", "publish", out, "--no-wait", *at) == (0, "pos-1: published version 1\n", "")


async def test_28_what_cannot_be_published_is_named_and_nothing_is_sent(tmp_path: Path) -> None:
    signers(tmp_path, "ayu")
    (tmp_path / "plain.toml").write_text(PLAIN)
    (tmp_path / "trust.txt").write_text("[]")

    async def signed(name: str, *more: str) -> str:
        out = str(tmp_path / name)
        words = ("--version", "1", "--out", out, "--yes", *signers(tmp_path, "ayu"), *more)
        assert (await gardu("config", "sign", str(tmp_path / "plain.toml"), *words))[0] == 0
        return out

    two = await signed("two.json", "--gateway", "pos-1", "--gateway", "pos-2")
    old = await signed("old.json", "--gateway", "pos-1", "--days", "0.000001")
    nobody = await signed("nobody.json", "--gateway", "nobody")
    with Mosquitto(tmp_path) as broker, SimulatedFleet(broker.port, ("pos-1",)) as fleet:
        at = ("--broker", broker.url)
        status, out, err = await gardu("config", "publish", two, old, str(tmp_path / "trust.txt"), *at)
        assert (status, out) == (1, "")
        told = [line.removeprefix(f"{tmp_path}/") for line in err.splitlines()]
        assert told[0] == "two.json: the envelope is for 2 gateways: sign one envelope for each"
        assert told[1].startswith("old.json: expired on ")
        assert told[2].startswith("trust.txt: ")
        assert told[3] == "nothing was sent"
        one = await signed("one.json", "--gateway", "pos-1")
        status, out, err = await gardu("config", "publish", one, nobody, *at)
        assert (status, out) == (1, "")
        assert err == "no gateway nobody has published its state on this broker\nnothing was sent\n"
        assert fleet.received == []


async def test_28_a_new_list_of_roots_is_published_and_its_way_is_shown(
    tmp_path: Path, post: tuple[Mosquitto, str]
) -> None:
    broker, file = post
    at = ("--broker", broker.url)
    assert (await gardu("trust", "renew", file, *signers(tmp_path, "ayu")))[0] == 0
    status, out, err = await gardu("trust", "publish", file, *at)
    assert (status, out, err) == (1, "", f"{file}: root 2 lacks signatures; nothing was sent\n")
    assert (await gardu("trust", "sign", file, *signers(tmp_path, "budi")))[0] == 0
    assert await gardu("trust", "publish", file, *at) == (0, "pos-1: has root 2\n", "")
    status, _, err = await gardu("trust", "publish", file, "pos-7", *at)
    assert (status, err.splitlines()[-1]) == (1, "nothing was sent")


async def test_30_one_stolen_key_signs_nothing_that_a_gateway_takes(
    tmp_path: Path, post: tuple[Mosquitto, str]
) -> None:
    broker, file = post
    shown = json.loads((await gardu("trust", "show", file, "--json"))[1])
    assert {role["threshold"] for role in shown[0]["roles"].values()} == {2}
    one = signers(tmp_path, "ayu")
    status, out, _ = await gardu("command", GATEWAY, "renew", *one, "--broker", broker.url)
    assert (status, json.loads(out)["status"]) == (1, "rejected")
    status, out, _ = await gardu("command", GATEWAY, "renew", *one, *signers(tmp_path, "citra"), "--broker", broker.url)
    assert json.loads(out)["status"] == "failed", "this one logs in without a certificate"


async def test_30_a_threshold_of_one_is_a_choice_with_a_warning(tmp_path: Path) -> None:
    await trusted(tmp_path)
    ayu, budi = (str(tmp_path / f"{name}.pub") for name in ("ayu", "budi"))
    roles = ("--root", ayu, "--root", budi, "--config", ayu, "--config", budi)
    _, _, err = await gardu("trust", "create", str(tmp_path / "new.json"), *roles, "--threshold", "config=1")
    (line,) = (line for line in err.splitlines() if line.startswith("warning"))
    assert "send its readings to another broker" in line


async def test_31_who_signs_is_shown_what_changes_on_the_running_gateway(
    tmp_path: Path, post: tuple[Mosquitto, str]
) -> None:
    broker, file = post
    at = ("--broker", broker.url)
    out, shown = await sealed(tmp_path, remote(broker), 1, *at)
    assert "nothing is published to pos-1; showing everything as new" in shown
    assert (await gardu("config", "publish", out, *at))[0] == 0
    out, shown = await sealed(tmp_path, remote(broker, "interval_s = 30"), 2, *at, "--trust", file)
    assert shown.splitlines()[1:4] == [
        "compared with version 1, published to pos-1 (signatures verified):",
        "+ sensor.load.interval_s = 30",
        "sensors that restart: load",
    ]
    status, _, err = await gardu("config", "sign", out, "--yes", *signers(tmp_path, "stranger"), *at)
    assert status == 0
    assert "(NOT VERIFIED: not signed by your keys)" in err


async def test_31_without_a_terminal_and_without_yes_nothing_is_signed(tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text(PLAIN)
    words = ("config", "sign", str(tmp_path / "new.toml"), "--gateway", GATEWAY, "--version", "1")
    status, out, err = await gardu(*words, *signers(tmp_path, "ayu"))
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == "gardu config sign: no terminal to ask for confirmation: use --yes to sign"


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"ya\n", 0), (b"\n", 1), (b"n\n", 1)])
async def test_31_at_a_terminal_it_asks(tmp_path: Path, answer: bytes, status: int) -> None:
    (tmp_path / "new.toml").write_text(PLAIN)
    words = ("config", "sign", str(tmp_path / "new.toml"), "--gateway", GATEWAY, "--version", "1")
    desk, terminal = os.openpty()
    os.write(desk, answer)
    process = await start_gardu(*words, *signers(tmp_path, "ayu"), stdin=terminal)
    os.close(terminal)
    out, err = await process.communicate()
    os.close(desk)
    assert (process.returncode, bool(out)) == (status, status == 0), err
    assert b"Sign this? [y/N] " in err


async def test_32_after_a_refusal_the_status_shows_what_was_refused_and_what_runs(
    tmp_path: Path, post: tuple[Mosquitto, str]
) -> None:
    broker, _ = post
    at = ("--broker", broker.url)
    out, _ = await sealed(tmp_path, remote(broker), 1)
    assert (await gardu("config", "publish", out, *at))[0] == 0
    wrong, _ = await sealed(tmp_path, remote(broker).replace('"system"', '"fog"'), 7)
    assert (await gardu("config", "publish", wrong, *at))[0] == 1
    _, out, _ = await gardu("fleet", "status", *at)
    cells = out.splitlines()[1].split()
    assert cells[:5] == ["pos-1", "yes", "7", "rejected", "1"]
    assert "driver_unknown" in out
    (shown,) = json.loads((await gardu("fleet", "status", "--json", *at))[1])
    assert (shown["refused"]["version"], shown["running"]["version"]) == (7, 1)
    assert shown["refused"]["cause"].startswith("driver_unknown: ")
