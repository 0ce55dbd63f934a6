"""What gateways and other publishers say to a maintainer's commands, and what maintainers are shown and asked."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.integration.test_listen import EP, Publisher, batch
from tests.support.listening import Listening, noted
from tests.support.mosquitto import Mosquitto, until

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
    assert listening.err == ["5 messages were not of this contract"]
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
