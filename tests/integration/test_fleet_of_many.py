"""A change of five hundred gateways, at a broker as it is shipped."""

import json
import time
from pathlib import Path

import pytest

from agent.config.document import parse_document
from agent.update.signed import dsse
from tests.integration.fleet_desk import Desk
from tests.support.city_broker import CityBroker
from tests.support.light_gateways import LightGateways
from tests.support.simulated_fleet import SimulatedFleet


def shipped_desk(folder: Path, broker: CityBroker, names: tuple[str, ...]) -> Desk:
    """A maintainer's desk with rights as they are shipped, a table of these gateways, and three rings."""
    user, password = broker.account("maintainer.ani")
    (folder / "password").write_text(password)
    login = ("--username", user, "--password-file", str(folder / "password"), "--ca-file", str(broker.ca))
    url = f"mqtts://127.0.0.1:{broker.people_port}"
    desk = Desk(folder / "desk", ("--broker", url, *login))
    desk.rings(names[:10], names[:100], names)
    desk.table([{"gateway": name, "broker": url, "port": f"/dev/{name}", "interval": 2} for name in names])
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
    payload = (
        b'{"target":{"gateways":["pos-1"]},"version":3,"issued":"2026-01-01T00:00:00Z",'
        b'"expires":"2026-02-01T00:00:00Z","config":{}}'
    )
    message = dsse.encode(dsse.to_json(dsse.CONFIG_TYPE, payload, {}))
    maintained["hash"] = parse_document(payload).hash
    assert SimulatedFleet.answer(message)["running"] == maintained
