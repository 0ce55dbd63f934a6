"""``gardu listen`` at a real broker, with what a publisher of this test sends: no agent, no code of the agent's."""

import asyncio
import csv
import io
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.agent_process import BASE, agent_environ, gardu
from tests.support.listening import Listening, noted
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.passwords import password_file

EP = "7c1f9a02"
NONSENSE = (b"\xff\x00", b"{}", b'{"v":2,"r":[]}', b'{"v":1,"ep":"x","seq":"1","lo":1,"r":[]}', b"x" * 5000)
META = {
    "v": 1,
    "mh": "5e2190ab",
    "gateway": {},
    "site": {},
    "sensors": {"dust-1": {"driver": "sds011", "fields": {"pm2_5": {"unit": "ug/m3", "kind": "gauge"}}}},
}


def batch(seq: int, *rows: dict[str, Any], low_water: int | None = None, late: bool = False) -> bytes:
    """A JSON batch of the wire contract, written by hand. Row *i* is measured at second ``seq + i``."""
    head: dict[str, Any] = {
        "v": 1,
        "ep": EP,
        "bid": "b41d0c7e",
        "seq": seq,
        "lo": seq if low_water is None else low_water,
    }
    head |= {"cq": 2, "mh": "5e2190ab"} | ({"h": True} if late else {})
    return json.dumps(head | {"r": [{"t": 1000 * (seq + at), **row} for at, row in enumerate(rows)]}).encode()


class Publisher:
    """Publishes below one gateway's path."""

    def __init__(self, port: int, login: tuple[str, str] | None = None) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, "publisher")
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def say(self, leaf: str, payload: bytes, retain: bool = False) -> None:
        """Publish and wait until the broker has it."""
        self._client.publish(f"{BASE}/{leaf}", payload, 1, retain).wait_for_publish(5.0)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "broker.log"


@pytest.fixture
def broker(tmp_path: Path, log: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, "allow_anonymous true" + noted(log)) as running:
        yield running


@pytest.fixture
def publisher(broker: Mosquitto) -> Iterator[Publisher]:
    one = Publisher(broker.port)
    yield one
    one.close()


@pytest.fixture
def described(publisher: Publisher) -> Publisher:
    publisher.say("meta", json.dumps(META).encode(), retain=True)
    return publisher


async def test_jsonl_prints_one_row_a_line_and_nothing_else(log: Path, broker: Mosquitto, described: Publisher) -> None:
    async with Listening(log, broker.url, "--format", "jsonl") as listening:
        described.say("telemetry/dust-1", batch(1, {"pm2_5": 12.5}, {"pm2_5": None, "q": {"pm2_5": "bad:range"}}))
        described.say("event/dust-1", batch(1, {"ev": "opened", "sev": "info"}))
        await listening.printed(3)
        status = await listening.stop()
    head = {"gateway": "pos-1", "sensor": "dust-1", "ep": EP}
    assert [json.loads(line) for line in listening.out] == [
        {**head, "kind": "telemetry", "seq": 1, "t": 1000, "pm2_5": 12.5, "q": {}},
        {**head, "kind": "telemetry", "seq": 2, "t": 2000, "pm2_5": None, "q": {"pm2_5": "bad:range"}},
        {**head, "kind": "event", "seq": 1, "t": 1000, "ev": "opened", "sev": "info", "q": {}},
    ]
    assert (status, listening.err) == (0, [])


async def test_csv_prints_one_value_a_line_with_its_unit(log: Path, broker: Mosquitto, described: Publisher) -> None:
    async with Listening(log, broker.url, "--format", "csv") as listening:
        described.say("telemetry/dust-1", batch(1, {"pm2_5": 12.5}, {"pm2_5": None, "q": {"pm2_5": "bad:range"}}))
        await listening.printed(3)
        await listening.stop()
    rows = list(csv.DictReader(io.StringIO("\n".join(listening.out))))
    assert [(row["seq"], row["field"], row["value"], row["unit"], row["q"]) for row in rows] == [
        ("1", "pm2_5", "12.5", "ug/m3", ""),
        ("2", "pm2_5", "", "ug/m3", "bad:range"),
    ]


async def test_senml_prints_packs_with_base_name_time_and_unit(
    log: Path, broker: Mosquitto, described: Publisher
) -> None:
    async with Listening(log, broker.url, "--format", "senml") as listening:
        described.say("telemetry/dust-1", batch(1, {"pm2_5": 12.5, "ok": True, "word": "x"}))
        await listening.printed(1)
        await listening.stop()
    assert json.loads(listening.out[0]) == [
        {"bn": "pos-1/dust-1/", "bt": 1, "n": "pm2_5", "u": "ug/m3", "v": 12.5},
        {"n": "ok", "vb": True},
        {"n": "word", "vs": "x"},
    ]


async def test_a_table_names_gateway_sensor_value_and_unit(log: Path, broker: Mosquitto, described: Publisher) -> None:
    async with Listening(log, broker.url) as listening:
        described.say("telemetry/dust-1", batch(1, {"pm2_5": 12.5}))
        await listening.printed(1)
        await listening.stop()
    for word in ("pos-1", "dust-1", "pm2_5", "12.5", "ug/m3"):
        assert word in listening.out[0]


async def test_a_row_that_comes_twice_is_printed_once(log: Path, broker: Mosquitto, publisher: Publisher) -> None:
    async with Listening(log, broker.url, "--format", "jsonl", "--verify") as listening:
        publisher.say("telemetry/dust-1", batch(1, {"n": 1}, {"n": 2}))
        publisher.say("telemetry/dust-1", batch(2, {"n": 2}, {"n": 3}, late=True))
        await listening.printed(3)
        status = await listening.stop()
    assert [json.loads(line)["n"] for line in listening.out] == [1, 2, 3]
    assert status == 0
    assert "twice 1," in listening.err[-1]


async def test_a_hole_is_printed_as_a_gap_and_proven_by_the_exit_status(
    log: Path, broker: Mosquitto, publisher: Publisher
) -> None:
    async with Listening(log, broker.url, "--format", "jsonl", "--verify") as listening:
        publisher.say("telemetry/dust-1", batch(1, {"n": 1}, {"n": 2}, {"n": 3}, low_water=1))
        publisher.say("telemetry/dust-1", batch(6, {"n": 6}, low_water=6))
        await listening.printed(4)
        status = await listening.stop()
    assert status == 1
    stream = {"gateway": "pos-1", "sensor": "dust-1", "kind": "telemetry", "ep": EP}
    assert json.loads(listening.out[-1]) == {"gap": {**stream, "from": 4, "to": 5, "n": 2, "why": "late"}}
    assert listening.err == [f"pos-1 telemetry/dust-1 {EP}: seen 4, twice 0, pending 0, lost 0, late 2"]


async def test_without_prove_a_hole_is_no_failure(log: Path, broker: Mosquitto, publisher: Publisher) -> None:
    async with Listening(log, broker.url, "--format", "jsonl") as listening:
        publisher.say("telemetry/dust-1", batch(1, {"n": 1}, low_water=1))
        publisher.say("telemetry/dust-1", batch(3, {"n": 3}, low_water=3))
        await listening.printed(2)
        assert await listening.stop() == 0


async def test_a_hole_that_the_broker_may_still_fill_is_no_failure(
    log: Path, broker: Mosquitto, publisher: Publisher
) -> None:
    async with Listening(log, broker.url, "--format", "jsonl", "--verify") as listening:
        publisher.say("telemetry/dust-1", batch(1, {"n": 1}, low_water=1))
        publisher.say("telemetry/dust-1", batch(3, {"n": 3}, low_water=2))
        await listening.printed(2)
        assert await listening.stop() == 0


async def test_a_hole_at_the_end_of_a_quiet_stream_is_found_by_streams(
    log: Path, broker: Mosquitto, publisher: Publisher
) -> None:
    streams = {"v": 1, "ep": EP, "t": 0, "streams": {"telemetry/dust-1": {"first": 1, "lo": 4, "next": 4}}}
    async with Listening(log, broker.url, "--format", "jsonl", "--verify") as listening:
        publisher.say("telemetry/dust-1", batch(1, {"n": 1}, low_water=1))
        publisher.say("streams", json.dumps(streams).encode())
        publisher.say("telemetry/dust-2", batch(1, {"n": 1}))
        await listening.printed(2)
        assert await listening.stop() == 1
    assert json.loads(listening.out[-1])["gap"]["n"] == 2


async def test_a_hole_that_is_explained_as_lost_is_a_gap_and_no_failure(
    log: Path, broker: Mosquitto, publisher: Publisher
) -> None:
    lost = {"ev": "rows_lost", "sev": "warn", "stream": "telemetry/dust-1", "ep": EP, "from": 2, "to": 4, "n": 3}
    lost["why"] = "overflow"
    async with Listening(log, broker.url, "--format", "jsonl", "--verify") as listening:
        publisher.say("telemetry/dust-1", batch(1, {"n": 1}, low_water=1))
        publisher.say("event/_agent", batch(1, lost))
        publisher.say("telemetry/dust-1", batch(5, {"n": 5}, low_water=5))
        await listening.printed(4)
        status = await listening.stop()
    gaps = [json.loads(line)["gap"] for line in listening.out if "gap" in json.loads(line)]
    assert [(gap["from"], gap["to"], gap["why"]) for gap in gaps] == [(2, 4, "overflow")]
    assert status == 0


async def test_what_is_not_of_the_contract_is_counted_and_ends_nothing(
    log: Path, broker: Mosquitto, publisher: Publisher
) -> None:
    async with Listening(log, broker.url, "--format", "jsonl") as listening:
        for nonsense in NONSENSE:
            publisher.say("telemetry/dust-1", nonsense)
        publisher.say("telemetry/dust-1", batch(1, {"n": 1}))
        await listening.printed(1)
        assert await listening.stop() == 0
    assert len(listening.out) == 1
    assert any(line.startswith(f"{len(NONSENSE)} ") for line in listening.err)


async def test_it_ends_by_itself_after_the_seconds_it_was_given(broker: Mosquitto) -> None:
    began_s = asyncio.get_running_loop().time()
    status, out, _ = await gardu("listen", broker.url, "--format", "jsonl", "--seconds", "1")
    assert (status, out) == (0, "")
    assert 1.0 <= asyncio.get_running_loop().time() - began_s < 4.0


async def test_a_filter_lets_only_its_topics_through(log: Path, broker: Mosquitto, publisher: Publisher) -> None:
    async with Listening(log, broker.url, "--format", "jsonl", "--filter", "+/v1/+/+/+/event/#") as listening:
        publisher.say("telemetry/dust-1", batch(1, {"n": 1}))
        publisher.say("event/dust-1", batch(1, {"ev": "opened", "sev": "info"}))
        await listening.printed(1)
        await listening.stop()
    assert [json.loads(line)["kind"] for line in listening.out] == ["event"]


async def test_a_broker_that_is_not_there_is_told_in_one_line_and_fails(tmp_path: Path) -> None:
    port = free_port()
    status, out, err = await gardu("listen", f"mqtt://127.0.0.1:{port}", "--seconds", "1.5")
    (line,) = err.splitlines()
    assert (status, out) == (1, "")
    assert f"127.0.0.1:{port}" in line


@pytest.mark.parametrize("url", ["http://x", "127.0.0.1", "mqtt://", "mqtt://x:99999", "mqtt://x:y"])
async def test_a_url_of_no_broker_is_wrong_usage(url: str) -> None:
    status, out, err = await gardu("listen", url)
    assert (status, out) == (2, "")
    assert url in err
    assert "Traceback" not in err


async def test_a_login_may_stand_in_the_url_or_in_a_file_and_is_never_shown(tmp_path: Path, log: Path) -> None:
    users = password_file(tmp_path, {"gis": "p@ss/word"})
    secret = tmp_path / "secret"
    secret.write_text("p@ss/word\n")
    with Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {users}" + noted(log)) as broker:
        publisher = Publisher(broker.port, ("gis", "p@ss/word"))
        here = f"127.0.0.1:{broker.port}"
        for arguments in (
            (f"mqtt://gis:p%40ss%2Fword@{here}",),
            (f"mqtt://{here}", "--username", "gis", "--password-file", str(secret)),
        ):
            async with Listening(log, *arguments, "--format", "jsonl") as listening:
                publisher.say("telemetry/dust-1", batch(1, {"n": 1}))
                await listening.printed(1)
                assert await listening.stop() == 0
        publisher.close()
        status, out, err = await gardu("listen", f"mqtt://gis:wrong-{47}@{here}", "--seconds", "1.5")
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "wrong-47" not in err


async def test_it_ends_quietly_when_its_reader_goes_away(broker: Mosquitto, publisher: Publisher) -> None:
    """As in ``gardu listen … | head -1``."""
    process = await asyncio.create_subprocess_shell(
        f"{shlex.quote(sys.executable)} -m agent listen {broker.url} --format jsonl | head -1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=agent_environ(),
    )
    assert process.stdout is not None
    number = 0
    reading = asyncio.create_task(process.stdout.readline())
    while not reading.done():
        number += 1
        publisher.say("telemetry/dust-1", batch(number, {"n": number}))
        await asyncio.wait((reading,), timeout=0.2)
    line = reading.result()
    for _ in range(20):
        number += 1
        publisher.say("telemetry/dust-1", batch(number, {"n": number}))
    _, err = await asyncio.wait_for(process.communicate(), 10.0)
    assert json.loads(line)["kind"] == "telemetry"
    assert err == b""
