"""The broker as it is shipped: every role, topic and direction; who is let in; and what it keeps.

The table says what the wire contract gives each role. It is written from the contract, not from the ACL.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.access_table import CONTROL, MAINTAINER, NEIGHBOUR, OTHER_BASE, ROLES, SUBSCRIBER, TABLE
from tests.support.agent_process import BASE, GATEWAY, AgentProcess, configuration, sensor
from tests.support.city_broker import CityBroker, done
from tests.support.mosquitto import until
from tests.support.mqtt_caller import Caller, TurnedAway
from tests.support.pki import Authority, Issued

KEPT = b"kept"
NOT_AUTHORIZED = 0x87

CELLS = tuple(itertools.product(ROLES, TABLE))


def named(cell: tuple[str, tuple[str, str, str]]) -> str:
    """A cell of the table, as its test is called."""
    return f"{ROLES[cell[0]]}-{cell[1][0]}"


class City:
    """A running broker and one connected client of each role."""

    def __init__(self, broker: CityBroker) -> None:
        self.broker = broker
        self.certificates = {one: broker.gateway(one) for one in (GATEWAY, NEIGHBOUR)}
        self.logins = {one: broker.account(one) for one in (SUBSCRIBER, MAINTAINER)}
        self.callers: dict[str, Caller] = {}
        self._numbers = itertools.count()

    def gateway(
        self,
        certificate: str,
        client_id: str = "",
        will: tuple[str, bytes] | None = None,
        login: tuple[str, str] | None = None,
    ) -> Caller:
        """A client with this gateway's certificate."""
        own = self.certificates[certificate]
        return Caller(self.broker.gateways_port, client_id or certificate, self.broker.ca, own, login, will)

    def person(self, name: str, client_id: str = "someone", kept_s: int = 0) -> Caller:
        """A client with this account."""
        port = self.broker.people_port
        return Caller(port, client_id, self.broker.ca, login=self.logins[name], kept_s=kept_s)

    def fence(self, watcher: Caller) -> None:
        """Return when ``watcher`` has got all that the broker had for it before."""
        fence = b"fence %d" % next(self._numbers)
        self.callers["m"].publish(CONTROL, fence)
        watcher.wait_for(CONTROL, fence)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    broker = CityBroker(tmp_path_factory.mktemp("city"))
    broker.keep_retained([topic for topic, _, _ in TABLE if not topic.startswith("$")], KEPT)
    one = City(broker)
    with (
        broker,
        one.gateway(GATEWAY) as gateway,
        one.gateway(NEIGHBOUR) as neighbour,
        one.person(SUBSCRIBER) as subscriber,
        one.person(MAINTAINER) as maintainer,
    ):
        one.callers = {"g": gateway, "n": neighbour, "s": subscriber, "m": maintainer}
        yield one


@pytest.mark.parametrize("cell", CELLS, ids=named)
def test_only_who_is_named_may_write(city: City, cell: tuple[str, tuple[str, str, str]]) -> None:
    role, (topic, writers, _) = cell
    assert (city.callers[role].publish(topic, b"x") == NOT_AUTHORIZED) is (role not in writers)


@pytest.mark.parametrize("cell", CELLS, ids=named)
def test_only_who_is_named_is_given_what_was_retained(city: City, cell: tuple[str, tuple[str, str, str]]) -> None:
    role, (topic, _, readers) = cell
    caller = city.callers[role]
    caller.arrived.clear()
    # Answered in this order: when the second has come, the first would have.
    caller.subscribe(topic, CONTROL)
    caller.wait_for(CONTROL, KEPT)
    caller.unsubscribe(topic, CONTROL)
    assert any(one.topic == topic and one.retained for one in caller.arrived) is (role in readers)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell[1][1]], ids=named)
def test_only_who_is_named_hears_what_is_said(city: City, cell: tuple[str, tuple[str, str, str]]) -> None:
    role, (topic, writers, readers) = cell
    caller = city.callers[role]
    caller.subscribe("#")
    city.callers[writers[0]].publish(topic, b"said now")
    city.fence(caller)
    caller.unsubscribe("#")
    assert caller.has(topic, b"said now") is (role in readers)
    caller.arrived.clear()


def test_a_shared_subscription_is_no_way_around(city: City) -> None:
    neighbour = city.callers["n"]
    neighbour.subscribe(CONTROL, f"$share/all/{BASE}/state", "$share/all/#")
    city.callers["g"].publish(f"{BASE}/state", b"mine")
    city.fence(neighbour)
    neighbour.unsubscribe(CONTROL, f"$share/all/{BASE}/state", "$share/all/#")
    assert not neighbour.has(f"{BASE}/state", b"mine")


def test_a_will_for_another_gateway_is_not_spoken(city: City, tmp_path: Path) -> None:
    city.certificates["pos-3"] = city.broker.gateway("pos-3")
    own = "makassar/v1/security/checkpoint/pos-3/state"
    watcher = city.callers["s"]
    watcher.subscribe("#")
    for will in (f"{BASE}/state", own):
        with city.gateway("pos-3", will=(will, b"gone")) as caller:
            caller.vanish()
            if will == own:
                watcher.wait_for(own, b"gone")
    watcher.unsubscribe("#")
    assert not watcher.has(f"{BASE}/state", b"gone")


@pytest.mark.parametrize("login", [None, (NEIGHBOUR, "x"), (MAINTAINER, "x")], ids=["none", "gateway", "maintainer"])
def test_a_certificate_acts_for_its_own_gateway_whatever_the_client_calls_itself(
    city: City, login: tuple[str, str] | None
) -> None:
    city.certificates["pos-4"] = city.broker.gateway("pos-4")
    with city.gateway("pos-4", client_id=NEIGHBOUR, login=login) as caller:
        assert caller.publish(f"{OTHER_BASE}/state", b"x") == NOT_AUTHORIZED
        assert caller.publish(f"{OTHER_BASE}/config/desired", b"x") == NOT_AUTHORIZED
        assert caller.publish("makassar/v1/security/checkpoint/pos-4/state", b"x") != NOT_AUTHORIZED
    assert not city.callers["n"].lost.is_set()


def test_an_account_cannot_push_a_gateway_from_its_place(tmp_path: Path) -> None:
    city = City(CityBroker(tmp_path))
    with city.broker, city.gateway(GATEWAY) as gateway, city.person(SUBSCRIBER, client_id=GATEWAY):
        assert gateway.publish(f"{BASE}/state", b"x") != NOT_AUTHORIZED
        assert not gateway.lost.is_set()


def test_a_second_connection_of_a_gateway_takes_the_place_of_its_first(tmp_path: Path) -> None:
    city = City(CityBroker(tmp_path))
    with city.broker, city.gateway(GATEWAY) as first, city.gateway(GATEWAY, client_id="spare"):
        assert first.lost.wait(5.0)


def test_who_has_no_certificate_of_this_city_is_not_let_in_as_a_gateway(city: City, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger").issue(GATEWAY)
    own = city.broker.authority / "broker" / "127.0.0.1"
    broker = Issued(own.with_name("127.0.0.1.pem"), own.with_name("127.0.0.1.key"))
    port, ca = city.broker.gateways_port, city.broker.ca
    for caller in (
        Caller(port, GATEWAY, ca, stranger),
        Caller(port, GATEWAY, ca, broker),
        Caller(port, GATEWAY, ca),
        Caller(port, GATEWAY, ca, login=city.logins[MAINTAINER]),
        Caller(port, GATEWAY),
    ):
        with pytest.raises(TurnedAway), caller:
            pass
    assert not city.callers["g"].lost.is_set()


def test_who_has_no_password_is_not_let_in_as_a_person(city: City) -> None:
    port, ca = city.broker.people_port, city.broker.ca
    for caller in (
        Caller(port, "someone", ca),
        Caller(port, "someone", ca, login=(SUBSCRIBER, "wrong")),
        Caller(port, "someone", ca, login=("maintainer.example", "")),
        Caller(port, "someone", ca, login=(GATEWAY, "")),
        Caller(port, GATEWAY, ca, city.certificates[GATEWAY]),
        Caller(port, "someone", login=city.logins[SUBSCRIBER]),
    ):
        with pytest.raises(TurnedAway), caller:
            pass


def test_a_message_that_is_too_large_ends_the_connection(city: City) -> None:
    city.certificates["pos-5"] = city.broker.gateway("pos-5")
    topic = "makassar/v1/security/checkpoint/pos-5/telemetry/dust-1"
    with city.gateway("pos-5") as caller:
        assert caller.publish(topic, b"x" * 100_000) != NOT_AUTHORIZED
        with pytest.raises(TurnedAway):
            caller.publish(topic, b"x" * 140_000)


def test_what_waits_for_a_subscriber_and_what_is_retained_outlive_a_restart(tmp_path: Path) -> None:
    city = City(CityBroker(tmp_path))
    topic = f"{BASE}/telemetry/dust-1"
    with city.broker:
        with city.person(SUBSCRIBER, kept_s=3600) as subscriber:
            subscriber.subscribe("makassar/#")
        with city.gateway(GATEWAY) as gateway, city.person(MAINTAINER) as maintainer:
            gateway.publish(topic, b"while it was away")
            maintainer.publish(f"{BASE}/config/desired", b"signed", retain=True)
    with city.broker:
        with city.gateway(GATEWAY) as gateway:
            gateway.publish(topic, b"after the restart")
            gateway.subscribe(f"{BASE}/config/desired")
            gateway.wait_for(f"{BASE}/config/desired", b"signed")
        with city.person(SUBSCRIBER, kept_s=3600) as subscriber:
            subscriber.wait_for(topic, b"after the restart")
    assert subscriber.has(topic, b"while it was away")


def test_what_a_maintainer_left_is_given_out_when_the_account_is_gone(tmp_path: Path) -> None:
    city = City(CityBroker(tmp_path))
    with city.broker, city.person(MAINTAINER) as maintainer:
        maintainer.publish(f"{BASE}/config/trust", b"signed", retain=True)
    acl = tmp_path / "etc/mosquitto/gardu.acl"
    acl.write_text(acl.read_text().split(f"user {MAINTAINER}\n")[0])
    with city.broker, city.gateway(GATEWAY) as gateway:
        gateway.subscribe(f"{BASE}/config/trust")
        gateway.wait_for(f"{BASE}/config/trust", b"signed")


def test_a_revoked_gateway_is_not_let_in_and_its_successor_is(tmp_path: Path) -> None:
    city = City(CityBroker(tmp_path))
    stolen = Issued(tmp_path / "stolen.pem", tmp_path / "stolen.key")
    for kept, own in zip(stolen, city.certificates[GATEWAY], strict=True):
        kept.write_bytes(own.read_bytes())
    done("revoke", city.broker.authority, GATEWAY)
    city.broker.take_revoked()
    city.broker.gateway(GATEWAY)
    with city.broker:
        thief = Caller(city.broker.gateways_port, GATEWAY, city.broker.ca, stolen)
        with pytest.raises(TurnedAway), thief:
            pass
        with city.gateway(GATEWAY) as successor, city.gateway(NEIGHBOUR) as neighbour:
            assert successor.publish(f"{BASE}/state", b"x") != NOT_AUTHORIZED
            assert neighbour.publish(f"{OTHER_BASE}/state", b"x") != NOT_AUTHORIZED


async def test_the_agent_delivers_obeys_and_leaves_its_will_and_nothing_is_refused(tmp_path: Path) -> None:
    city = City(CityBroker(tmp_path))
    own = city.certificates[GATEWAY]
    table = (
        f'url = "mqtts://127.0.0.1:{city.broker.gateways_port}"\nca_file = "{city.broker.ca}"\n'
        f'cert_file = "{own.certificate}"\nkey_file = "{own.key}"'
    )
    text = configuration(table, [sensor("load", "system", more="interval_s = 0.2")], 'encoding = "json"')
    with city.broker, city.person(SUBSCRIBER) as subscriber:
        subscriber.subscribe("makassar/#")

        def came(leaf: str, words: str = "") -> bool:
            return any(
                one.topic.startswith(f"{BASE}/{leaf}") and words in str(one.payload) for one in subscriber.arrived
            )

        async with AgentProcess(tmp_path, text) as agent:
            for leaf in ("state", "meta", "streams", "telemetry/load", "event/_agent"):
                await until(lambda leaf=leaf: came(leaf))
            subscriber.publish(f"{BASE}/command/ping", json.dumps({"id": "p1", "exp": 4102444800000}).encode())
            await until(lambda: came("reply/p1", "done"))
            assert not came("state", "lwt")
            await agent.kill()
            await until(lambda: came("state", "lwt"))
    refused = [line for line in agent.lines if "refuse" in line or "not connected" in line or "lost" in line]
    assert refused == [], agent.lines
    assert any("MQTT 5" in line for line in agent.lines), agent.lines
