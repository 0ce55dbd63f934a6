"""Cards and barcodes leave the gateway as keyed hashes, and no log tells either of them."""

import hmac
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder

CARD, CODE = 3887558, "CANARY-8991234"


def _traces(secret: bytes) -> set[str]:
    """Everything in a log that would give a card away: itself in the usual forms, and its hash."""
    hashes = {_hash(secret, CARD), _hash(secret, CODE)}
    return {str(CARD), f"{CARD:010d}", f"{CARD:x}", f"{CARD:X}", CODE, secret.hex(), *hashes}


@pytest.mark.parametrize("mode", ["hmac", "none", "plain"])
async def test_identifiers_leave_as_configured_and_never_through_a_log(tmp_path: Path, mode: str) -> None:
    reader, scanner = model("rdm6300"), model("barcode")
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        async with (
            SimulatedDevice(reader, values=lambda number: {"tag": CARD}, link=tmp_path / "tty-card") as card,
            SimulatedDevice(scanner, values=lambda number: {"code": CODE}, link=tmp_path / "tty-code") as code,
        ):
            sensors = [sensor("card-1", "rdm6300", card.port), sensor("code-1", "barcode", code.port)]
            text = configuration(mosquitto.url, sensors) + f'[privacy]\nidentifiers = "{mode}"\n'
            async with AgentProcess(tmp_path, text, arguments=("--log-level", "debug")) as agent:
                await until(lambda: recorder.rows("event/card-1") and recorder.rows("event/code-1"))
                card.silence()
                await until(lambda: [row["ev"] for row in recorder.rows("event/card-1")] == ["seen", "gone"])
                await agent.stop()
    key_file = tmp_path / "state" / "privacy.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    secret = bytes.fromhex(key_file.read_text())
    logged = "\n".join(agent.lines)
    assert not [trace for trace in _traces(secret) if trace in logged]
    tags = [row.get("tag") for row in recorder.rows("event/card-1")]
    (code_row,) = recorder.rows("event/code-1")[:1]
    if mode == "plain":
        assert (tags, code_row["code"]) == ([CARD, CARD], CODE)
        return
    published = repr([recorder.rows("event/card-1"), recorder.rows("event/code-1"), recorder.last("meta")])
    assert not [trace for trace in (str(CARD), f"{CARD:X}", CODE, secret.hex()) if trace in published]
    if mode == "none":
        assert tags == [None, None]
        assert "code" not in code_row
    else:
        assert tags == [_hash(secret, CARD)] * 2
        assert code_row["code"] == _hash(secret, CODE)
        assert recorder.last("meta")["sensors"]["card-1"]["fields"]["tag"] == {"kind": "text"}


def _hash(secret: bytes, value: object) -> str:
    return hmac.new(secret, str(value).encode(), sha256).hexdigest()[:16]
