"""One change to many gateways: ring after ring, until the first that fails, and on from there."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.config.document import parse_document
from agent.fleet.io import signing_key
from agent.update.signed import dsse
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.support.agent_process import ROOT, AgentProcess, configuration, gardu, sensor
from tests.support.city_broker import CityBroker
from tests.support.light_gateways import LightGateways
from tests.support.maintainer import Maintainer
from tests.support.maintainers_page import run_block
from tests.support.mosquitto import Mosquitto, until
from tests.support.mqtt_caller import Caller
from tests.support.simulated_fleet import SimulatedFleet

NAMES = ("pos-1", "pos-2", "pos-3")
TEMPLATE = """\
[broker]
url = "${broker}"
[publish]
max_delay_s = 0.2
[[sensor]]
id = "air-a"
driver = "sds011"
port = "${port}"
interval_s = ${interval}
"""


class Desk:
    """A maintainer's folder: template, table and rings."""

    def __init__(self, folder: Path, broker: tuple[str, ...]) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.maintainer = Maintainer(folder / "keys")
        self.key = str(folder / "keys" / "config.key")
        self._broker = broker
        (folder / "template.toml").write_text(TEMPLATE)

    def rings(self, *rings: tuple[str, ...]) -> None:
        for number, ring in enumerate(rings):
            (self.folder / f"ring-{number}.txt").write_text("\n".join(ring))

    def table(self, rows: list[dict[str, object]]) -> None:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        (self.folder / "table.csv").write_text("\n".join(lines))

    async def push(self, *more: str, timeout_s: float = 60.0) -> tuple[int, str, str]:
        """Push to ``ring-0.txt``, then to the others."""
        first, *others = sorted(str(one) for one in self.folder.glob("ring-*.txt"))
        then = [word for one in others for word in ("--then", one)]
        words = ("--ring", first, *then, str(self.folder / "template.toml"), str(self.folder / "table.csv"))
        return await gardu("fleet", "push", *words, "--key", self.key, *self._broker, *more, timeout_s=timeout_s)

    async def status(self, *more: str) -> tuple[int, str, str]:
        return await gardu("fleet", "status", *self._broker, *more)


class Street:
    """Three gateways with a dust sensor each."""

    def __init__(self, folder: Path, mosquitto: Mosquitto) -> None:
        self.mosquitto = mosquitto
        self.desk = Desk(folder / "desk", ("--broker", mosquitto.url))
        self.desk.rings(NAMES[:1], NAMES[1:2], NAMES)
        self.ports = {name: folder / name / "tty-a" for name in NAMES}
        self.agents: dict[str, AgentProcess] = {}
        for name in NAMES:
            (folder / name).mkdir()
            (folder / name / "trust.json").write_bytes(self.desk.maintainer.trust())
            text = configuration(mosquitto.url, [sensor("air-a", "sds011", self.ports[name])])
            self.agents[name] = AgentProcess(folder / name, text.replace('id = "pos-1"', f'id = "{name}"'))

    def table(self, **ports: Path | str) -> None:
        """Every gateway in the table, with its own port unless another is given."""
        places = {name: ports.get(name.replace("-", "_"), port) for name, port in self.ports.items()}
        self.desk.table([
            {"gateway": name, "broker": self.mosquitto.url, "port": port, "interval": 2}
            for name, port in places.items()
        ])  # fmt: skip

    async def status(self) -> dict[str, dict[str, Any]]:
        _, out, _ = await self.desk.status("--json")
        return {one["gateway"]: one for one in json.loads(out)}


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    device = model("sds011")
    with Mosquitto(tmp_path) as mosquitto:
        street = Street(tmp_path, mosquitto)
        async with AsyncExitStack() as stack:
            for name in NAMES:
                await stack.enter_async_context(SimulatedDevice(device, period_s=0.1, link=street.ports[name]))
                await stack.enter_async_context(street.agents[name])
            with Caller(mosquitto.port, "looking") as looking:
                looking.subscribe("+/v1/+/+/+/config/reported")
                await until(lambda: len({one.topic for one in looking.arrived}) == len(NAMES))
            yield street


async def test_a_good_change_goes_from_ring_to_ring_and_the_status_shows_it(street: Street) -> None:
    street.table()
    status, out, err = await street.desk.push("--confirm-s", "20")
    assert (status, err) == (0, "")
    lines = [line for line in out.splitlines() if not line.startswith("ring")]
    assert lines == [f"{name}: confirmed (1/1)" for name in NAMES]
    assert {(one["version"], one["state"], one["online"]) for one in (await street.status()).values()} == {
        (1, "confirmed", True)
    }
    status, out, _ = await street.desk.status("pos-2")
    assert status == 0
    assert [line.split()[:5] for line in out.splitlines()][1:] == [["pos-2", "yes", "1", "confirmed", "1"]]


async def test_the_first_roll_back_stops_it_and_the_same_command_goes_on_once_it_is_mended(street: Street) -> None:
    street.table(pos_2="/dev/gardu-nothing")
    status, out, err = await street.desk.push("--confirm-s", "4")
    assert status == 1
    assert err.splitlines()[0] == "pos-2: rolled_back: sensor: no good reading from air-a (sensor.air-a)"
    assert "stopped in ring 2: 0 of 1 confirmed; nothing was sent to 1 gateways of later rings" in err
    fleet = await street.status()
    assert {name: one["state"] for name, one in fleet.items()} == {
        "pos-1": "confirmed", "pos-2": "rolled_back", "pos-3": "confirmed",
    }  # fmt: skip
    assert {name: one["version"] for name, one in fleet.items()} == {"pos-1": 1, "pos-2": 1, "pos-3": 0}
    street.table()
    status, out, err = await street.desk.push("--confirm-s", "4")
    assert (status, err) == (0, "")
    assert "pos-1: was already confirmed (1/1)" in out
    assert {name: one["version"] for name, one in (await street.status()).items()} == {
        "pos-1": 1, "pos-2": 2, "pos-3": 2,
    }  # fmt: skip


async def test_a_gateway_that_does_not_answer_stops_it_and_takes_the_change_when_it_is_back(street: Street) -> None:
    street.table()
    await street.agents["pos-1"].stop()
    status, _, err = await street.desk.push("--timeout", "2", "--confirm-s", "20")
    assert status == 1
    assert err.splitlines()[0] == "pos-1: no answer within 2 s; it is offline"
    await street.agents["pos-1"].start()
    status, _, err = await street.desk.push("--confirm-s", "20")
    assert (status, err) == (0, "")
    assert {one["version"] for one in (await street.status()).values()} == {1}


async def test_a_broker_that_goes_away_in_between_is_waited_for(street: Street) -> None:
    street.table()
    await street.agents["pos-1"].stop()
    pushing = asyncio.create_task(street.desk.push("--confirm-s", "20", "--timeout", "50"))
    with Caller(street.mosquitto.port, "looking") as looking:
        looking.subscribe("+/v1/+/+/pos-1/config/desired")
        await until(lambda: bool(looking.arrived))
    # It keeps nothing over its end: the gateways tell what they know again, and the message is sent again.
    street.mosquitto.stop()
    street.mosquitto.start()
    await street.agents["pos-1"].start()
    status, out, err = await pushing
    assert (status, err) == (0, ""), out
    assert "not connected" in out
    assert {one["state"] for one in (await street.status()).values()} == {"confirmed"}


async def test_the_page_for_maintainers_shows_what_push_and_status_print(tmp_path: Path) -> None:
    names = ("batua-01", "kima-02", "tamalanrea-03")
    section = (ROOT / "docs" / "maintainers.md").read_text("utf-8").split("## A fleet change")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", section, flags=re.DOTALL)
    for key in ("ayu.key", "budi.key"):
        signing_key.create(tmp_path / key)
    with Mosquitto(tmp_path) as mosquitto, SimulatedFleet(mosquitto.port, names):
        for script, shown in blocks:
            # Login and TLS are tried where the broker is as it is shipped.
            await run_block(script, shown, tmp_path, mosquitto.url)
    assert len(blocks) == 4


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk whose broker nobody may ask: nothing listens there."""
    desk = Desk(tmp_path / "desk", ("--broker", "mqtt://127.0.0.1:1"))
    desk.rings(NAMES[:1], NAMES)
    return desk


def rows(**changes: object) -> list[dict[str, object]]:
    """A row for each gateway; the changes are for the second."""
    plain = {"broker": "mqtt://broker.example", "port": "/dev/a", "interval": 2}
    return [{"gateway": name, **plain, **(changes if name == NAMES[1] else {})} for name in NAMES]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"interval": "soon"}, "pos-2: TEMPLATE is not valid TOML: "),
        ({"broker": "ftp://x"}, "pos-2: broker.url: "),
        ({"interval": -1}, "pos-2: sensor.air-a.interval_s: "),
    ],
)
async def test_everything_is_checked_before_anything_is_sent(desk: Desk, wrong: dict[str, object], words: str) -> None:
    desk.table(rows(**wrong))
    status, out, err = await desk.push()
    told, end = err.splitlines()
    assert (status, out, told.startswith(words)) == (1, "", True), err
    assert end.endswith("template.toml is invalid for 1 gateways; nothing was sent")


async def test_a_dry_run_needs_no_broker(desk: Desk) -> None:
    desk.table(rows())
    status, out, err = await desk.push("--dry-run")
    assert (status, out.splitlines()) == (0, ["ring 1: pos-1", "ring 2: pos-2, pos-3"]), err


async def test_a_broker_that_is_away_at_the_beginning_is_one_line(desk: Desk) -> None:
    desk.table(rows())
    for status, out, err in (await desk.push(), await desk.status()):
        assert (status, out, len(err.splitlines())) == (1, "", 1)


async def test_a_gateway_that_the_broker_does_not_know_is_named_and_nothing_is_sent(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, SimulatedFleet(mosquitto.port, NAMES[:2]) as fleet:
        desk = Desk(tmp_path / "desk", ("--broker", mosquitto.url))
        desk.rings(NAMES)
        desk.table(rows())
        status, _, err = await desk.push()
        assert (status, err.strip().endswith("config/reported): pos-3")) == (1, True), err
        assert fleet.received == []
        assert (await desk.status("pos-1", "pos-3"))[0] == 1


async def test_a_version_that_a_gateway_has_already_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, SimulatedFleet(mosquitto.port, NAMES) as fleet:
        desk = Desk(tmp_path / "desk", ("--broker", mosquitto.url))
        desk.rings(NAMES)
        desk.table(rows())
        assert (await desk.push("--version", "7"))[0] == 0
        desk.table(rows(interval=3))
        status, _, err = await desk.push("--version", "7")
        assert (status, err.splitlines()) == (
            1, ["pos-2: already has version 7; --version must be higher", "nothing was sent"],
        )  # fmt: skip
        assert sorted(fleet.received) == sorted(NAMES)


def shipped_desk(folder: Path, broker: CityBroker, names: tuple[str, ...]) -> Desk:
    """A maintainer's desk with rights as they are shipped, a table of these gateways, and three rings."""
    user, password = broker.account("maintainer.ani")
    (folder / "password").write_text(password)
    login = ("--username", user, "--password-file", str(folder / "password"), "--ca-file", str(broker.ca))
    url = f"mqtts://127.0.0.1:{broker.people_port}"
    desk = Desk(folder / "desk", ("--broker", url, *login))
    desk.rings(names[:10], names[:100], names)
    desk.table([
        {"gateway": name, "broker": url, "port": f"/dev/{name}", "interval": 2} for name in names
    ])  # fmt: skip
    return desk


async def test_five_hundred_gateways_at_a_broker_as_it_is_shipped(tmp_path: Path) -> None:
    names = tuple(f"pos-{number:03}" for number in range(500))
    broker = CityBroker(tmp_path)
    desk = shipped_desk(tmp_path, broker, names)
    simulator = broker.account("subscriber.street")
    # The maintainer has the rights that are shipped; the simulator speaks for five hundred certificates.
    with (tmp_path / "etc/mosquitto/gardu.acl").open("a") as acl:
        acl.write("\nuser subscriber.street\ntopic readwrite makassar/#\n")
    with broker, SimulatedFleet(broker.people_port, names, broker.ca, simulator) as fleet:
        began_s = time.monotonic()
        status, out, err = await desk.push(timeout_s=180.0)
        took_s = time.monotonic() - began_s
        assert (status, err) == (0, "")
        assert out.count(": confirmed (") == len(names)
        assert sorted(fleet.received) == sorted(names)
        print(f"500 gateways in {took_s:.1f} s")
        status, out, err = await desk.push(timeout_s=60.0)
        assert (status, err, out.count("was already confirmed")) == (0, "", len(names))
        assert len(fleet.received) == len(names)
        shown = json.loads((await desk.status("--json"))[1])
        assert {(one["version"], one["state"]) for one in shown} == {(1, "confirmed")}
        assert len(shown) == len(names)


@pytest.mark.long
async def test_five_hundred_certificates_with_a_connection_each_at_the_shipped_acl(tmp_path: Path) -> None:
    """As above, but nobody speaks for another: each gateway by its own certificate, with the rights of a gateway."""
    names = tuple(f"pos-{number:03}" for number in range(500))
    broker = CityBroker(tmp_path)
    desk = shipped_desk(tmp_path, broker, names)
    began_s = time.monotonic()
    with broker:
        async with LightGateways(broker, names) as fleet:
            connected_s = time.monotonic()
            status, out, err = await desk.push(timeout_s=300.0)
            pushed_s = time.monotonic()
            assert (status, err) == (0, "")
            assert out.count(": confirmed (") == len(names)
            assert sorted(fleet.received) == sorted(names)
            shown = json.loads((await desk.status("--json"))[1])
            assert [(one["gateway"], one["version"], one["state"]) for one in shown] == [
                (name, 1, "confirmed") for name in names
            ]
            assert (fleet.foreign, fleet.lost) == ([], [])
    print(f"500 connected in {connected_s - began_s:.1f} s, pushed to in {pushed_s - connected_s:.1f} s")


def test_the_simulated_gateways_answer_of_what_they_were_sent() -> None:
    """The hash that they report is that of the payload, as gateways make it."""
    maintained = {"version": 3, "hash": ""}
    payload = b'{"target":{"gateways":["pos-1"]},"version":3,"issued":"2026-01-01T00:00:00Z",' \
              b'"expires":"2026-02-01T00:00:00Z","config":{}}'  # fmt: skip
    message = dsse.written(dsse.table(dsse.CONFIG_TYPE, payload, {}))
    maintained["hash"] = parse_document(payload).hash
    assert SimulatedFleet.answer(message)["running"] == maintained
