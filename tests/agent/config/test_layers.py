"""What may come from outside, and how the three parts of a configuration are laid over each other."""

from typing import Any

import pytest

from agent.base.errors import RejectedError
from agent.config.layers import check_remote, local_keys, merged, without_local

FILE: dict[str, Any] = {
    "gateway": {"id": "batua-01"},
    "broker": {"url": "mqtts://old", "username": "old", "key_file": "/etc/key", "cert_file": "/etc/cert"},
    "store": {"commit_s": 1},
    "publish": {"encoding": "json"},
    "sensor": [{"id": "old-1", "driver": "dust"}],
}
REMOTE: dict[str, Any] = {
    "broker": {"url": "mqtts://new", "ca_pem": "-----BEGIN"},
    "sensor": [{"id": "air-1", "driver": "dust", "interval_s": 10}, {"id": "air-2", "driver": "dust"}],
}


def test_the_remote_part_is_replaced_whole_and_the_local_part_stays() -> None:
    assert merged(FILE, REMOTE, {}).tables == {
        "gateway": {"id": "batua-01"},
        "store": {"commit_s": 1},
        "broker": {"url": "mqtts://new", "ca_pem": "-----BEGIN", "key_file": "/etc/key", "cert_file": "/etc/cert"},
        "sensor": REMOTE["sensor"],
    }


def test_without_an_accepted_configuration_the_file_counts() -> None:
    assert merged(FILE, None, {}).tables == FILE


def test_a_broker_from_nowhere_is_not_made_up() -> None:
    assert "broker" not in merged(FILE, {"sensor": []}, {}).tables
    assert merged({"gateway": {}}, REMOTE, {}).tables["broker"] == REMOTE["broker"]


@pytest.mark.parametrize(
    ("overlay", "drift"),
    [
        ({}, ()),
        ({"publish": {}}, ()),
        ({"publish": {"encoding": "json"}}, ("publish.encoding",)),
        ({"broker": {"url": "mqtts://new"}}, ()),
        ({"broker": {"url": "mqtts://mine", "keepalive_s": 30}}, ("broker.url", "broker.keepalive_s")),
        ({"sensor": [{"id": "air-2", "label": "roof"}]}, ("sensor.air-2.label",)),
        ({"sensor": [{"id": "air-1", "interval_s": 10}]}, ()),
        ({"sensor": [{"id": "air-1", "interval_s": True}]}, ("sensor.air-1.interval_s",)),
        ({"sensor": [{"id": "air-3", "driver": "dust"}]}, ("sensor.air-3",)),
        ({"alarm": [{"id": "bad", "sensor": "air-1"}]}, ("alarm.bad",)),
        ({"sensor": {"id": "air-1"}}, ("sensor",)),
        ({"web": {"listen": "127.0.0.1:8080"}}, ("web.listen",)),
    ],
)
def test_what_the_technicians_file_changes_is_its_drift(overlay: dict[str, Any], drift: tuple[str, ...]) -> None:
    assert merged(FILE, REMOTE, overlay).drift == drift


def test_sensors_are_laid_over_each_other_by_their_names() -> None:
    overlay = {"sensor": [{"id": "air-2", "label": "roof"}, {"id": "air-3", "driver": "host"}]}
    assert merged(FILE, REMOTE, overlay).tables["sensor"] == [
        {"id": "air-1", "driver": "dust", "interval_s": 10},
        {"id": "air-2", "driver": "dust", "label": "roof"},
        {"id": "air-3", "driver": "host"},
    ]


def test_laying_over_changes_none_of_the_parts() -> None:
    overlay = {"sensor": [{"id": "air-1", "interval_s": 3}], "broker": {"url": "mqtts://mine"}}
    before = repr((FILE, REMOTE, overlay))
    merged(FILE, REMOTE, overlay)
    assert repr((FILE, REMOTE, overlay)) == before


def test_every_local_key_of_a_whole_file_is_found_and_can_be_left_out() -> None:
    assert list(local_keys(FILE)) == ["gateway", "broker.key_file", "broker.cert_file", "store"]
    remote = without_local(FILE)
    assert list(local_keys(remote)) == []
    assert remote == {
        "broker": {"url": "mqtts://old", "username": "old"},
        "publish": {"encoding": "json"},
        "sensor": FILE["sensor"],
    }


def test_where_a_device_is_may_come_from_outside() -> None:
    sensor = {"id": "a", "port": "/dev/ttyUSB0", "w1": "28-1", "chip": "gpiochip0", "line": "GPIO17", "i2c_bus": 1}
    check_remote({"sensor": [sensor], "bus": [{"id": "b", "port": "/dev/ttyUSB1"}], "broker": {"ca_pem": "-"}})


@pytest.mark.parametrize("key", ["password", "token", "secret", "path", "file", "key_file", "log_dir", "api_token"])
@pytest.mark.parametrize("table", ["sensor", "bus", "alarm", "future"])
def test_no_secret_and_no_path_of_a_file_may(key: str, table: str) -> None:
    with pytest.raises(RejectedError) as caught:
        check_remote({table: [{"id": "a", key: "x"}]})
    assert (caught.value.code, caught.value.path) == ("local_key", f"{table}.a.{key}")
