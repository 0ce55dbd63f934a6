"""A generation becomes one value: the gateway's own files, what was accepted, and what a technician laid over both."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agent.base.errors import RejectedError
from agent.config.generation import Generation
from agent.config.resolve import ResolvedConfig, resolve
from drivers.sdk.contract import Driver
from tests.agent.config.config_fakes import DUST, MINIMAL, SENSOR, FakeCatalog
from tests.agent.update.signing_fakes import BASE, CONFIG, document, local_files

GONE = SENSOR.replace("air-1", "gone-1").replace("dust", "gone").replace("ttyUSB0", "ttyUSB1")


def resolved(generation: Generation, *, remaining: bool = False) -> ResolvedConfig:
    return resolve(generation, FakeCatalog(), remaining=remaining)


def test_the_files_alone_are_a_configuration() -> None:
    base = {**BASE, "sensor": CONFIG["sensor"]}
    found = resolved(local_files({"publish": {"encoding": "json"}}, base))
    assert found.settings.broker.url == "mqtts://old.example"
    assert (found.drift, found.document, found.missing, found.degraded) == (("publish.encoding",), None, (), None)
    assert (found.drivers, found.installed) == ({"air-1": DUST}, {"dust": DUST})
    assert found.tables["publish"] == {"encoding": "json"}


def test_a_payload_replaces_the_remote_part_and_comes_with_its_document() -> None:
    generation = replace(local_files({"sensor": [{"id": "air-1", "interval_s": 5}]}), payload=json.dumps(document()))
    found = resolved(generation)
    assert found.settings.broker.url == "mqtts://broker.example:8883"
    assert found.settings.broker.password_file == "/etc/gardu/password"
    assert found.settings.sensor[0].interval_s == 5
    assert found.document is not None
    assert (found.document.version, found.drift) == (18, ("sensor.air-1.interval_s",))
    assert found.generation is generation
    assert resolve(generation, FakeCatalog(), found.document) == found


def test_what_remains_of_an_accepted_one_runs_and_says_what_is_missing() -> None:
    found = resolved(Generation(MINIMAL + SENSOR + GONE), remaining=True)
    assert [sensor.id for sensor in found.settings.sensor] == ["air-1"]
    assert found.degraded is not None
    assert (found.degraded.code, found.degraded.path) == ("degraded", "sensor.gone-1.driver")


def test_without_its_sensors_a_gateway_is_still_the_same() -> None:
    alarm = '[[alarm]]\nid = "hot"\nsensor = "air-1"\nfield = "pm10"\nabove = 1\n'
    whole = resolved(Generation(MINIMAL + SENSOR + alarm))
    bare = whole.without_sensors()
    assert (bare.settings.sensor, bare.settings.alarm, bare.drivers, bare.installed) == ((), (), {}, {})
    assert bare.tables == {name: whole.tables[name] for name in ("gateway", "broker")}
    assert bare.settings.gateway == whole.settings.gateway


@pytest.mark.parametrize(
    ("generation", "message", "path"),
    [
        (Generation("a = ", ""), "gardu.toml is not valid TOML: ", ""),
        (Generation(MINIMAL, "]"), "local.toml is not valid TOML: ", ""),
        (Generation(MINIMAL + GONE), 'unknown driver "gone"', "sensor.gone-1.driver"),
    ],
)
def test_what_cannot_be_built_is_refused(generation: Generation, message: str, path: str) -> None:
    with pytest.raises(RejectedError) as caught:
        resolved(generation)
    assert (caught.value.code, caught.value.path) == ("schema", path)
    assert caught.value.message.startswith(message)


def test_a_document_is_refused_by_the_kind_of_its_first_problem() -> None:
    config: Mapping[str, Any] = {**CONFIG, "sensor": [{"id": "gone-1", "driver": "gone"}]}
    with pytest.raises(RejectedError) as caught:
        resolved(replace(local_files(), payload=json.dumps(document(config=config))))
    assert (caught.value.code, caught.value.path) == ("driver_unknown", "sensor.gone-1.driver")


def test_a_driver_that_fails_refuses_the_configuration_and_ends_nothing() -> None:
    class Broken(FakeCatalog):
        def get(self, name: str) -> Driver:
            raise ZeroDivisionError

    with pytest.raises(RejectedError) as caught:
        resolve(Generation(MINIMAL + SENSOR), Broken())
    assert caught.value.code == "internal_error"
