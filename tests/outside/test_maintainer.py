"""What gateways and other publishers say to the commands of maintainers and subscribers; and commands to gateways."""

import asyncio
import base64
import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from agent.fleet.io import signing_key
from agent.update.io.ed25519_check import verify
from agent.update.signed import dsse
from tests.integration.test_fleet import Desk
from tests.integration.test_listen import EP, Publisher, batch
from tests.support import simulated_fleet
from tests.support.agent_process import BASE, gardu
from tests.support.listening import Listening, noted
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import Mosquitto, until
from tests.support.mqtt_caller import Caller
from tests.support.simulated_fleet import ROOT, SimulatedFleet

ESCAPES = "\x1b]0;owned\x07\u202egnp.\ud800"
HOSTILE = ("\x1b", "\x07", "\u202e", "\ud800")


@pytest.mark.parametrize("form", ["table", "jsonl", "csv", "senml"])
async def test_06_listen_shows_no_escape_and_no_formula_and_goes_on(tmp_path: Path, form: str) -> None:
    log = tmp_path / "broker.log"
    meta = {"v": 1, "mh": "5e2190ab", "sensors": {"dust-1": {"fields": {"name": {"unit": "=1+1" + ESCAPES}}}}}
    with Mosquitto(tmp_path, "allow_anonymous true" + noted(log)) as broker:
        publisher = Publisher(broker.port)
        async with Listening(log, broker.url, "--format", form) as listening:
            publisher.say("meta", json.dumps(meta).encode())
            publisher.say("telemetry/dust-1", batch(1, {"name": "=HYPERLINK(1)" + ESCAPES, "q": {"name": ESCAPES}}))
            # No gateway sends such times, numbers, names and epochs.
            publisher.say("telemetry/dust-1", batch(2, {"t": 10**30, "name": "x"}))
            publisher.say("telemetry/dust-1", batch(2, {"=x\x1b": 1}))
            publisher.say("telemetry/dust-1", batch(2**53, {"name": "x"}))
            publisher.say("telemetry/dust-1", batch(2, {"name": "x"}).replace(EP.encode(), b"=cmd|'x'"))
            publisher.say("telemetry/=dust", batch(2, {"name": "x"}))
            publisher.say("telemetry/dust-1", batch(2, {"name": "last"}))
            await until(lambda: any("last" in line for line in listening.out))
            assert await listening.stop() == 0
        publisher.close()
    printed = "\n".join(listening.out)
    assert not any(character in printed for character in HOSTILE)
    assert listening.err == ["5 messages did not follow the wire contract"]
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(printed)))
        assert [row["value"][:8] for row in rows] == ["'=HYPERL", "last"]
        assert rows[0]["unit"].startswith("'=1+1")
    if form in ("jsonl", "senml"):
        assert "HYPERLINK(1)" + ESCAPES in _texts(json.loads(listening.out[0]))


def _texts(value: object) -> str:
    """All texts in JSON, one after the other."""
    if isinstance(value, dict | list):
        return "".join(_texts(one) for one in (value.values() if isinstance(value, dict) else value))
    return value if isinstance(value, str) else ""


class Stolen(Caller):
    """A gateway that says what it likes. ``base``: below which its topics are."""

    base = ROOT

    def say(self, name: str, **changes: Any) -> None:
        """Be there under this name, and report."""
        self.publish(f"{self.base}/{name}/state", b'{"v":1,"online":true,"t":1}', retain=True)
        message = json.dumps(simulated_fleet.report(0, "") | changes).encode()
        self.publish(f"{self.base}/{name}/config/reported", message, retain=True)


async def test_06_what_one_gateway_reports_ends_no_status_and_reaches_no_terminal(tmp_path: Path) -> None:
    odd = {"code": "schema" + ESCAPES, "message": "x" * 9000, "path": "\u202e"}
    with Mosquitto(tmp_path) as broker, Stolen(broker.port, "stolen") as stolen:
        stolen.say("good-1")
        stolen.say("half-1", state="rejected", cause={"code": "a\ud800", "message": "", "path": ""})
        stolen.say("odd-1", state="rejected", drift=["\x1b[2J" * 500] * 20)
        stolen.say("odd-2", state="rejected", cause={**odd, "code": "schema\x1b]0;x\x07"}, drift=["\x1b[2J"])
        stolen.say("odd-3", version=10**400, t=2**70)
        stolen.publish(f"{ROOT}/=cmd\x1f/state".replace("\x1f", "\u202e"), b'{"v":1,"online":true}', retain=True)
        for form in ((), ("--json",)):
            status, out, err = await gardu("fleet", "status", *form, "--broker", broker.url)
            assert status == 0
            assert not any(character in out + err for character in HOSTILE)
            names = [line.split(":")[0] for line in err.splitlines()]
            assert sorted(names) == ["half-1", "odd-1", "odd-3"]
            if form:
                assert [one["gateway"] for one in json.loads(out)] == ["good-1", "half-1", "odd-1", "odd-2", "odd-3"]
            else:
                assert out.splitlines()[1].startswith("good-1         yes     0"[:6])
                assert len(out.splitlines()) == 6


@pytest.mark.parametrize("claimed", [900_000, 2**53 - 1])
async def test_06_the_version_that_a_gateway_claims_moves_nobody(tmp_path: Path, claimed: int) -> None:
    names = ("pos-1", "pos-2")
    with Mosquitto(tmp_path) as broker, SimulatedFleet(broker.port, names) as fleet:
        desk = Desk(tmp_path / "desk", ("--broker", broker.url))
        desk.rings((*names, "pos-9"))
        rows = [{"gateway": one, "broker": broker.url, "port": "/dev/x", "interval": 2} for one in (*names, "pos-9")]
        desk.table(rows)
        with Stolen(broker.port, "stolen") as stolen:
            stolen.base = ROOT.replace("checkpoint", "elsewhere")
            stolen.say("pos-9", version=claimed, running={"version": claimed, "hash": ""})
            stolen.subscribe(f"{stolen.base}/pos-9/config/desired")
            pushing = asyncio.create_task(desk.push("--version", "11"))
            await until(lambda: bool(stolen.arrived))
            stolen.say(
                "pos-9",
                version=claimed,
                state="rejected",
                cause={"code": "rollback", "message": "too low\x1b", "path": "version"},
            )
            status, out, err = await pushing
        assert status == 1
        why = "rejected version 11 (rollback: too low? (version)): check this gateway; if it is in order, use --version"
        assert err.splitlines() == [f"pos-9: {why}"]
        assert out.count(": confirmed (") == 2
        assert sorted(fleet.received) == ["pos-1", "pos-2"]
        desk.table([{**row, "interval": 3} for row in rows])
        _, out, _ = await desk.push("--timeout", "1")
        assert out.splitlines()[0] == "ring 1 of 1: version 12, gateways: 3"
        assert out.count(": confirmed (") == 2


COMMAND = ("command", "pos-1")


class Answering(Caller):
    """A gateway that is there, and answers a command with anything. ``asked``: the commands that came."""

    def __init__(self, port: int, answer: bytes) -> None:
        super().__init__(port, "answering")
        self._reply = answer
        self.asked: list[dict[str, Any]] = []

    def __enter__(self) -> "Answering":
        super().__enter__()
        self.publish(f"{BASE}/state", b'{"v":1,"online":true,"t":1}', retain=True)
        self.subscribe(f"{BASE}/command/+")
        return self

    def _take(self, client: Any, userdata: Any, message: Any) -> None:
        asked = json.loads(message.payload)
        self.asked.append(asked)
        identity = json.loads(base64.b64decode(asked["payload"]))["id"] if "payload" in asked else asked["id"]
        self._client.publish(f"{BASE}/reply/{identity}", self._reply, 1)


@pytest.mark.parametrize(
    ("answer", "status", "line"),
    [
        (b'{"status":"done","detail":"\\u001b[2J\\u202e"}', 0, ""),
        (b'{"status":"done","detail":"\\ud800"}', 1, "pos-1: cannot read its reply: "),
        (b"[" * 100_000, 1, "pos-1: cannot read its reply: "),
        (b"\xff", 1, "pos-1: cannot read its reply: "),
        (b"[]", 1, "pos-1: cannot read its reply: "),
    ],
)
async def test_06_a_reply_is_shown_safely_or_refused(tmp_path: Path, answer: bytes, status: int, line: str) -> None:
    with Mosquitto(tmp_path) as broker, Answering(broker.port, answer):
        ended, out, err = await gardu(*COMMAND, "ping", "--broker", broker.url)
    assert (ended, err.startswith(line), err.count("\n")) == (status, True, 1 if line else 0)
    assert not any(character in out + err for character in HOSTILE)


async def test_06_a_renewal_shows_safely_what_the_gateway_says(tmp_path: Path) -> None:
    maintainer = Maintainer(tmp_path / "keys")
    answer = b'{"status":"failed\\u001b[2J","detail":"\\u202e\\n"}'
    with Mosquitto(tmp_path) as broker, Answering(broker.port, answer):
        status, out, err = await gardu(
            "cert",
            "renew",
            "pos-1",
            "--sign",
            "cat",
            "--key",
            str(maintainer.key_file("command")),
            "--broker",
            broker.url,
        )
    assert (status, out, err) == (1, "", "pos-1: renew: failed?[2J: ??\n")


async def test_28_a_command_is_signed_with_several_keys_and_at_two_desks(tmp_path: Path) -> None:
    keys = [signing_key.create(tmp_path / name) for name in ("ayu", "budi")]
    ayu, budi = (str(tmp_path / name) for name in ("ayu", "budi"))
    sealed = str(tmp_path / "siren.json")
    words = ("output", "sensor=siren-1", "value=1")
    with Mosquitto(tmp_path) as broker, Answering(broker.port, b'{"status":"done"}') as gateway:
        at = ("--broker", broker.url)
        assert (await gardu(*COMMAND, *words, "--key", ayu, "--key", budi, *at))[0] == 0
        status, out, err = await gardu(*COMMAND, *words, "--key", ayu, "--out", sealed)
        assert (status, out) == (0, "")
        assert 'pos-1: output sensor="siren-1" value=1, signatures: 1, expires ' in err
        status, _, err = await gardu("command", "--envelope", sealed, "--key", budi, *at)
        assert status == 0
        assert 'pos-1: output sensor="siren-1" value=1, signatures: 2, expires ' in err
    for asked in gateway.asked:
        found = dsse.from_json(asked)
        checks = dsse.signature_checks(found, dsse.Role(tuple(key.public for key in keys), 2))
        dsse.require_signatures(checks, list(verify(checks)), dsse.Role(tuple(key.public for key in keys), 2))
        inner = json.loads(found.payload)
        assert (inner["command"], inner["gateway"], inner["value"]) == ("output", "pos-1", 1)
        assert inner["exp"] <= 1000 * time.time() + 600_000


async def test_28_a_command_whose_ten_minutes_are_over_is_not_sent(tmp_path: Path) -> None:
    maintainer = Maintainer(tmp_path / "keys")
    old = {"id": "a", "exp": 1, "command": "ping", "gateway": "pos-1"}
    (tmp_path / "old.json").write_bytes(maintainer.command(old))
    status, _, err = await gardu("command", "--envelope", str(tmp_path / "old.json"), "--broker", "mqtt://127.0.0.1:1")
    assert status == 1
    assert "a signed command is valid for at most 10 minutes" in err


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (("ep=12345678", "from=1", "to=2"), {"ep": "12345678", "from": 1, "to": 2}),
        (('ep="12345678"', "stream=true"), {"ep": "12345678", "stream": "true"}),
        (("ep=00000000", "stream=1e5"), {"ep": "00000000", "stream": "1e5"}),
    ],
)
async def test_29_arguments_are_typed_by_the_command(
    tmp_path: Path, words: tuple[str, ...], sent: dict[str, Any]
) -> None:
    with Mosquitto(tmp_path) as broker, Answering(broker.port, b'{"status":"done"}') as gateway:
        assert (await gardu(*COMMAND, "resend", *words, "--broker", broker.url))[0] == 0
    (asked,) = gateway.asked
    assert {key: value for key, value in asked.items() if key not in ("id", "exp")} == sent


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("resend", "epoch=1"), "gardu command: resend has no argument epoch; choose one of: stream, ep, from, to"),
        (("resend", "from=x"), "gardu command: from must be an integer, not x"),
        (("ping", "a=1"), "gardu command: ping takes no arguments, but a was given"),
        (("output", "value=on"), "gardu command: value must be a number, true or false, not on"),
    ],
)
async def test_29_a_wrong_argument_is_one_line_and_status_2(words: tuple[str, ...], line: str) -> None:
    assert await gardu(*COMMAND, *words, "--broker", "mqtt://127.0.0.1:1") == (2, "", line + "\n")


async def test_32_certificates_are_shown_where_they_are_asked_for(tmp_path: Path) -> None:
    ends_ms = round(1000 * time.time()) + 812 * 86_400_000 + 3_600_000
    answer = {"status": "done", "result": {"certificate": {"not_after": ends_ms, "days": 9}}}
    with Mosquitto(tmp_path) as broker, Answering(broker.port, json.dumps(answer).encode()):
        at = ("--broker", broker.url)
        _, out, _ = await gardu("fleet", "status", *at)
        assert "certificate" not in out
        _, out, _ = await gardu("fleet", "status", "--certificates", *at)
        assert "certificate" in out
        assert "days left: 812" in out
        (shown,) = json.loads((await gardu("fleet", "status", "--certificates", "--json", *at))[1])
        assert shown["certificate"] == {"not_after": ends_ms, "days": 812}
