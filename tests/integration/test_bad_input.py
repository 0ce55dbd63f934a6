"""What people and networks do wrong: one clear line each, an honest exit status, and never a traceback."""

import asyncio
import stat
from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess, configuration, gardu, sensor
from tests.support.mosquitto import Mosquitto, free_port, until
from tests.support.passwords import password_file
from tests.support.recorder import Recorder
from tests.support.street import PERSISTENT, arrived, street

PASSWORD = "rahasia-sekali-47"
NOWHERE = "mqtt://127.0.0.1:1"


async def run(folder: Path, text: str | bytes, *more: str, **environ: str) -> tuple[int, list[str]]:
    """``gardu run`` with this file; exit status and lines on standard error. Nothing may go to standard output."""
    file = folder / "gardu.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    arguments = ("run", "--config", str(file), *(more or ("--state", str(folder / "state"))))
    status, out, err = await gardu(*arguments, environ=environ)
    assert out == ""
    assert "Traceback" not in err
    return status, err.splitlines()


async def test_every_error_of_a_wrong_configuration_is_one_line_with_its_path(tmp_path: Path) -> None:
    text = configuration(NOWHERE, [sensor("air-1", "sds012", tmp_path / "tty", "interval_s = -1")])
    text = text.replace('sector = "security"', 'sector = "police"').replace('id = "pos-1"', 'id = "Pos 1"')
    status, lines = await run(tmp_path, text + "[broken]\nkey = 1\n")
    assert status == 78
    for path in ("gateway.id", "gateway.sector", "sensor.air-1.driver", "sensor.air-1.interval_s", "broken"):
        assert sum(f" {path}" in line for line in lines) == 1, (path, lines)
    assert any("sds011" in line for line in lines)
    assert not (tmp_path / "state").exists()


NO_CONFIGURATIONS = {
    "empty": b"",
    "unclosed": b"[gateway\n",
    "not text": b"\xff\xfe\x00",
    "zeros": b"\x00" * 100,
    "twice": b"[gateway]\n" * 2,
    "deep": b"a = " + b"[" * 5000,
    "no list": b"[sensor]\nid = 1\n",
}


@pytest.mark.parametrize("kind", NO_CONFIGURATIONS)
async def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, kind: str) -> None:
    status, lines = await run(tmp_path, NO_CONFIGURATIONS[kind])
    assert status == 78
    assert lines
    assert all(str(tmp_path / "gardu.toml") in line for line in lines)


async def test_a_configuration_that_is_not_there_is_told(tmp_path: Path) -> None:
    status, _, err = await gardu("run", "--config", str(tmp_path / "absent.toml"), "--state", str(tmp_path))
    (line,) = err.splitlines()
    assert status == 78
    assert str(tmp_path / "absent.toml") in line
    assert "example" in line
    # What the agent can make without one is made, so that only the configuration is missing.
    assert stat.S_IMODE((tmp_path / "privacy.key").stat().st_mode) == 0o600
    before = (tmp_path / "privacy.key").read_text()
    await gardu("run", "--config", str(tmp_path / "absent.toml"), "--state", str(tmp_path))
    assert (tmp_path / "privacy.key").read_text() == before


async def test_a_wrong_configuration_is_told_in_indonesian_where_the_locale_is(tmp_path: Path) -> None:
    _, english = await run(tmp_path, "[gateway]\n")
    status, lines = await run(tmp_path, "[gateway]\n", LANG="id_ID.UTF-8")
    assert status == 78
    assert len(lines) == len(english)
    assert not {words(line) for line in lines} & {words(line) for line in english}


def words(line: str) -> str:
    """A line without its time."""
    return line.partition(" ")[2]


async def test_an_unreachable_broker_is_told_in_indonesian_where_the_locale_is(tmp_path: Path) -> None:
    async with AgentProcess(tmp_path, configuration(NOWHERE), environ={"LANG": "id_ID.UTF-8"}) as agent:
        line = await agent.told("127.0.0.1:1")
        await agent.stop()
    assert "tidak" in line
    assert "not connected" not in line


async def test_a_broker_that_comes_late_gets_all_that_was_kept(tmp_path: Path) -> None:
    # The broker keeps the recorder's session while it is down: the agent may be the first to come back.
    broker = Mosquitto(tmp_path, PERSISTENT.format(folder=tmp_path))
    with broker, Recorder(broker.port) as recorder:
        broker.stop()
        async with (
            street(tmp_path, 1) as devices,
            AgentProcess(tmp_path, configuration(broker.url, devices.sensors)) as agent,
        ):
            await agent.told("not connected")
            await until(lambda: devices.devices["dust-0"].sent > 20)
            broker.start()
            await until(lambda: arrived(recorder, "dust-0") > 25 and recorder.whole("telemetry/dust-0"), 30.0)
            await agent.stop()
    counts = [row["n0_3"] for row in recorder.rows("telemetry/dust-0")]
    assert counts == list(range(len(counts)))
    assert agent.count("not connected") == 1, agent.lines


async def test_a_refused_login_is_told_once_without_the_password_and_readings_are_kept(tmp_path: Path) -> None:
    users = password_file(tmp_path, {"pos-1": "another"})
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    with Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {users}") as broker:
        table = f'url = "{broker.url}"\nusername = "pos-1"\npassword_file = "{secret}"'
        async with (
            street(tmp_path, 1) as devices,
            AgentProcess(tmp_path, configuration(table, devices.sensors)) as agent,
        ):
            line = await agent.told("refused the login")
            await until(lambda: devices.devices["dust-0"].sent > 10)
            status, _ = await agent.stop()
    assert status == 0
    assert "password_file" in line
    assert agent.count("refused the login") == 1
    assert agent.count(PASSWORD) == agent.count("Traceback") == 0
    assert len([of for of, _ in agent.accepted() if of.stream == "telemetry/dust-0"]) > 8


async def test_a_password_file_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    table = f'url = "{NOWHERE}"\nusername = "pos-1"\npassword_file = "{tmp_path}/absent"'
    async with AgentProcess(tmp_path, configuration(table)) as agent:
        line = await agent.told("not connected")
        assert (await agent.stop())[0] == 0
    assert f"{tmp_path}/absent" in line


async def test_a_name_that_no_resolver_knows_is_told(tmp_path: Path) -> None:
    async with AgentProcess(tmp_path, configuration("mqtt://broker.invalid")) as agent:
        line = await agent.told("not connected")
        assert (await agent.stop())[0] == 0
    assert "broker.invalid" in line
    assert agent.count("Traceback") == 0


async def test_a_broker_that_speaks_http_is_told_and_tried_again(tmp_path: Path) -> None:
    """A captive portal, or a wrong port."""

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>" + b"x" * 1000)
        writer.close()

    server = await asyncio.start_server(page, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for scheme in ("mqtt", "mqtts"):
            async with AgentProcess(tmp_path, configuration(f"{scheme}://127.0.0.1:{port}")) as agent:
                await agent.told("not connected", 20.0)
                assert (await agent.stop())[0] == 0
            assert agent.count("Traceback") == 0, agent.lines


async def test_a_port_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    text = configuration(NOWHERE, [sensor("air-1", "sds011", tmp_path / "tty-absent")])
    async with AgentProcess(tmp_path, text) as agent:
        line = await agent.told("air-1: ")
        assert (await agent.stop())[0] == 0
    assert str(tmp_path / "tty-absent") in line
    assert agent.count("air-1: ") == 1


async def test_a_port_that_is_no_port_is_told(tmp_path: Path) -> None:
    ordinary = tmp_path / "file"
    ordinary.write_text("no device")
    names = {"file": ordinary, "folder": tmp_path, "null": Path("/dev/null")}
    text = configuration(NOWHERE, [sensor(name, "sds011", port) for name, port in names.items()])
    async with AgentProcess(tmp_path, text) as agent:
        for name in names:
            await agent.told(f" {name}: ")
        assert (await agent.stop())[0] == 0
    assert agent.count("Traceback") == 0
    assert ordinary.read_text() == "no device"


async def test_a_port_that_another_agent_uses_is_told(tmp_path: Path) -> None:
    async with street(tmp_path, 1) as devices:
        text = configuration(NOWHERE, devices.sensors)
        other = tmp_path / "other"
        other.mkdir()
        async with AgentProcess(tmp_path, text):
            await until(lambda: devices.devices["dust-0"].sent > 3)
            async with AgentProcess(other, text) as second:
                await second.told("in use by another program")
                await second.stop()


async def test_a_store_that_another_agent_holds_is_refused(tmp_path: Path) -> None:
    async with AgentProcess(tmp_path, configuration(NOWHERE)) as agent:
        await agent.told("not connected")
        status, lines = await run(tmp_path, configuration(NOWHERE))
        assert agent.running()
        await agent.stop()
    assert status == 1
    (line,) = lines
    assert str(tmp_path / "state") in line


async def test_a_state_directory_that_is_a_file_is_told_and_the_agent_runs(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    async with AgentProcess(tmp_path, configuration(NOWHERE)) as agent:
        line = await agent.told("cannot write to the state directory")
        await agent.told("not connected")
        assert (await agent.stop())[0] == 0
    assert str(tmp_path / "state") in line
    assert agent.count("Traceback") == 0


async def test_a_store_that_is_damaged_is_set_aside_and_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "store.db").write_bytes(b"\0" * 10_000)
    async with AgentProcess(tmp_path, configuration(NOWHERE)) as agent:
        line = await agent.told("damaged")
        await agent.told("not connected")
        assert (await agent.stop())[0] == 0
    assert "store.db.broken-" in line
    assert agent.count("Traceback") == 0
    assert list((tmp_path / "state").glob("store.db.broken-*"))
    assert [row for row in agent.accepted().values() if row.get("ev") == "store_reset"]


async def test_a_wrong_file_at_sighup_changes_nothing(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Recorder(broker.port) as recorder:
        async with (
            street(tmp_path, 1) as devices,
            AgentProcess(tmp_path, configuration(broker.url, devices.sensors)) as agent,
        ):
            await until(lambda: arrived(recorder, "dust-0") > 3)
            agent.file.write_text("[gateway]\n")
            agent.hang_up()
            await agent.told("continuing with the running configuration")
            count = arrived(recorder, "dust-0")
            await until(lambda: arrived(recorder, "dust-0") > count + 5)
            assert (await agent.stop())[0] == 0
    assert agent.count("Traceback") == 0


async def test_nothing_listens_at_the_first_of_two_brokers_and_the_second_is_taken(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Recorder(broker.port) as recorder:
        table = f'url = ["mqtt://127.0.0.1:{free_port()}", "{broker.url}"]'
        async with AgentProcess(tmp_path, configuration(table)) as agent:
            await until(lambda: bool(recorder.events("started")))
            await agent.stop()
