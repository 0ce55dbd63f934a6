"""What a configuration would change is told, and checked as one that is to be applied."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agent.base.errors import RejectedError
from agent.config.diff import Unresolved
from agent.config.resolve import resolve
from agent.update.signed.acceptance import Accepted, fingerprint
from agent.update.signed.plan import plan, summary
from agent.update.signed.version_mark import Mark
from tests.agent.config.config_fakes import FakeCatalog
from tests.agent.update.signing_fakes import CONFIG, NOW_MS, Verifier, document, local_files, message, outcome, standing


def planned(
    raw: bytes, remote: Mapping[str, Any] | None = None, overlay: Mapping[str, Any] | None = None, **changes: Any
) -> Mapping[str, object]:
    """What a gateway answers that runs this remote part."""
    payload = None if remote is None else json.dumps(document(version=17, config=remote))
    generation = replace(local_files(overlay), payload=payload)
    return Verifier().run(plan(raw, standing(**changes), FakeCatalog(), resolve(generation, FakeCatalog())))


def dust(name: str, **keys: Any) -> dict[str, Any]:
    return {"id": name, "driver": "dust", "port": f"/dev/{name}", **keys}


def test_sensors_and_everything_else_that_would_change_are_named() -> None:
    running = {"broker": CONFIG["broker"], "sensor": [dust("stays"), dust("goes"), dust("slows")]}
    config = {
        "broker": {"url": "mqtts://new.example"},
        "publish": {"max_rows": 9},
        "sensor": [dust("stays"), dust("slows", interval_s=60), dust("comes")],
    }
    raw = message(document(config=config))
    told = dict(planned(raw, running, {"sensor": [{"id": "stays", "interval_s": 5}]}))
    assert told.pop("hash") != ""
    assert told == {
        "version": 18,
        "added": ["comes"],
        "removed": ["goes"],
        "changed": ["slows"],
        "reconnect": True,
        "paths": ["broker.url", "publish.max_rows"],
        "drift": ["sensor.stays.interval_s"],
    }


def test_what_runs_already_changes_nothing() -> None:
    raw = message()
    running = outcome(raw)
    assert isinstance(running, Accepted)
    at = standing(mark=Mark(18, running.document.hash, NOW_MS), running=running.document.hash)
    told = Verifier().run(plan(raw, at, FakeCatalog(), running.resolved))
    assert {name: told[name] for name in ("version", "added", "removed", "changed", "reconnect", "paths")} == {
        "version": 18,
        "added": [],
        "removed": [],
        "changed": [],
        "reconnect": False,
        "paths": [],
    }
    assert told["hash"] == running.document.hash


def test_a_message_that_was_refused_before_is_looked_at_again() -> None:
    raw = message(document(version=17))
    with pytest.raises(RejectedError) as caught:
        planned(raw, processed=frozenset({fingerprint(raw)}))
    assert caught.value.code == "equivocation"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "malformed"),
        (message(signers=["mallory"]), "wrong_key"),
        (message(document(version=16)), "rollback"),
        (message(document(config={**CONFIG, "gateway": {"id": "x"}})), "local_key"),
    ],
)
def test_it_is_refused_as_the_real_one_would_be(raw: bytes, code: str) -> None:
    with pytest.raises(RejectedError) as caught:
        planned(raw)
    assert caught.value.code == code


def test_a_summary_names_sensors_once_and_the_rest_by_its_path() -> None:
    old = {
        "bus": [{"id": "rs485-0", "port": "/dev/a"}],
        "sensor": [{"id": "mains", "driver": "meter", "bus": "rs485-0"}, dust("tank")],
    }
    new = {
        "bus": [{"id": "rs485-0", "port": "/dev/b"}],
        "sensor": [{"id": "mains", "driver": "meter", "bus": "rs485-0"}, dust("new")],
    }
    assert summary(Unresolved(old), Unresolved(new)) == {
        "added": ["new"],
        "removed": ["tank"],
        "changed": ["mains"],
        "reconnect": True,
        "paths": ["bus.rs485-0.port"],
    }
