"""TLS with certificates of both sides and a login; and every certificate that must not be taken."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess, configuration
from tests.support.mosquitto import Mosquitto, until
from tests.support.passwords import password_file
from tests.support.pki import Authority, Issued
from tests.support.recorder import Recorder
from tests.support.street import arrived, live_through_outage, street

USER, PASSWORD = "pos-1", "rahasia-sekali-47"


@dataclass(frozen=True, slots=True)
class City:
    """The city's CA, a broker's folder, and what the gateway was given."""

    folder: Path
    authority: Authority
    gateway: Issued

    def broker(self, server: Issued) -> Mosquitto:
        """A broker that shows this certificate and wants one, and a login."""
        users = password_file(self.folder, {USER: PASSWORD, "recorder": "r"})
        return Mosquitto(
            self.folder,
            f"cafile {self.authority.certificate}\ncertfile {server.certificate}\nkeyfile {server.key}\n"
            f"require_certificate true\nallow_anonymous false\npassword_file {users}\n"
            f"persistence true\npersistence_location {self.folder}/\n",
        )

    def recorder(self, port: int) -> Recorder:
        """The subscriber, with a certificate and a login of its own."""
        own = self.authority.issue("recorder")
        return Recorder(port, (str(self.authority.certificate), str(own.certificate), str(own.key)), ("recorder", "r"))

    def table(self, port: int, trusted: Path | None = None, own: Issued | None = None, login: bool = True) -> str:
        """The agent's ``[broker]``."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD + "\n")
        lines = [f'url = "mqtts://127.0.0.1:{port}"', f'ca_file = "{trusted or self.authority.certificate}"']
        if own is not None:
            lines += [f'cert_file = "{own.certificate}"', f'key_file = "{own.key}"']
        if login:
            lines += [f'username = "{USER}"', f'password_file = "{secret}"']
        return "\n".join(lines)


@pytest.fixture
def city(tmp_path: Path) -> City:
    authority = Authority(tmp_path)
    return City(tmp_path, authority, authority.issue("pos-1"))


async def test_nothing_is_lost_behind_tls_with_client_certificate_and_login(city: City) -> None:
    broker = city.broker(city.authority.issue("broker", "IP:127.0.0.1"))
    with broker, city.recorder(broker.port) as recorder:
        async with street(city.folder) as devices:
            agent = AgentProcess(city.folder, configuration(city.table(broker.port, own=city.gateway), devices.sensors))
            assert await live_through_outage(broker, recorder, agent, devices, 4.0) == []
    assert agent.count(PASSWORD) == 0


@pytest.mark.parametrize(
    ("alternative", "days", "why"),
    [("DNS:other.example", 1, "IP address mismatch"), ("IP:127.0.0.1", -1, "certificate has expired")],
    ids=["of the wrong host", "expired"],
)
async def test_a_wrong_certificate_of_the_broker_is_refused_and_readings_are_kept(
    city: City, alternative: str, days: int, why: str
) -> None:
    with city.broker(city.authority.issue("broker", alternative, days)) as broker:
        await assert_told_and_kept(city, city.table(broker.port, own=city.gateway), why)


async def test_an_unknown_authority_is_refused_and_readings_are_kept(city: City) -> None:
    other = Authority(city.folder, "other")
    with city.broker(city.authority.issue("broker", "IP:127.0.0.1")) as broker:
        table = city.table(broker.port, trusted=other.certificate, own=city.gateway)
        await assert_told_and_kept(city, table, "certificate")


async def test_a_broker_that_wants_a_certificate_gets_none_and_the_agent_says_so(city: City) -> None:
    with city.broker(city.authority.issue("broker", "IP:127.0.0.1")) as broker:
        await assert_told_and_kept(city, city.table(broker.port), "not connected")


async def test_a_certificate_of_another_city_is_refused_by_the_broker(city: City) -> None:
    stranger = Authority(city.folder, "stranger-ca").issue("stranger")
    with city.broker(city.authority.issue("broker", "IP:127.0.0.1")) as broker:
        await assert_told_and_kept(city, city.table(broker.port, own=stranger), "not connected")


async def test_a_certificate_file_that_is_not_there_is_told_by_its_name(city: City) -> None:
    missing = Issued(city.folder / "absent.pem", city.folder / "absent.key")
    with city.broker(city.authority.issue("broker", "IP:127.0.0.1")) as broker:
        await assert_told_and_kept(city, city.table(broker.port, own=missing), "absent.pem")


async def test_after_the_right_certificate_is_there_what_was_kept_arrives(city: City) -> None:
    """The technician mends the file; nobody has to start the agent again."""
    trusted = city.folder / "trusted.pem"
    trusted.write_bytes(Authority(city.folder, "other").certificate.read_bytes())
    broker = city.broker(city.authority.issue("broker", "IP:127.0.0.1"))
    with broker, city.recorder(broker.port) as recorder:
        async with street(city.folder, 1) as devices:
            table = city.table(broker.port, trusted, city.gateway)
            async with AgentProcess(city.folder, configuration(table, devices.sensors)) as agent:
                await agent.told("not accepted")
                trusted.write_bytes(city.authority.certificate.read_bytes())
                await until(lambda: arrived(recorder, "dust-0") > 5, 40.0)
                first = recorder.rows("telemetry/dust-0")[0]
    assert first["n0_3"] == 0


async def assert_told_and_kept(city: City, table: str, why: str) -> None:
    """One line that says why, no password in it, and the readings are in the store, in order."""
    async with (
        street(city.folder, 1) as devices,
        AgentProcess(city.folder, configuration(table, devices.sensors)) as agent,
    ):
        line = await agent.told("not connected")
        await until(lambda: devices.devices["dust-0"].sent > 10)
        status, took_s = await agent.stop()
    assert why in line
    assert (status, took_s < 5.0) == (0, True)
    assert agent.count("not connected") == 1, agent.lines
    assert agent.count(PASSWORD) == agent.count("Traceback") == 0, agent.lines
    kept = [row["n0_3"] for (of, _), row in agent.accepted().items() if of.stream == "telemetry/dust-0"]
    assert kept == list(range(len(kept)))
    assert len(kept) > 8
