"""What runs under one configuration, and how another takes its place."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from agent.config.io.catalog import Catalog
from agent.config.parse import DriverLookup
from agent.config.resolve import ResolvedConfig, resolve
from agent.delivery.connection import Message
from drivers.sim.nmea import encode_rmc
from drivers.sim.pty_port import PtyPort
from tests.agent.app.runtime_fakes import RuntimeBench
from tests.agent.config.config_fakes import FakeCatalog
from tests.agent.update.signing_fakes import BASE, local_files
from tests.support.mosquitto import until


def resolved(*sensors: Mapping[str, Any], catalog: DriverLookup | None = None, **tables: Any) -> ResolvedConfig:
    broker = {"url": "mqtt://127.0.0.1:1"}
    base = {**BASE, "broker": broker, **tables, "sensor": list(sensors)}
    return resolve(local_files(base=base), catalog or FakeCatalog())


def air(name: str, **keys: Any) -> dict[str, Any]:
    return {"id": name, "driver": "dust", "port": f"/dev/no-{name}", **keys}


@pytest.fixture
async def bench() -> AsyncIterator[RuntimeBench]:
    bench = RuntimeBench()
    yield bench
    await bench.close()


@pytest.fixture
async def connected() -> AsyncIterator[RuntimeBench]:
    bench = RuntimeBench(there=True)
    yield bench
    await bench.close()


async def test_what_stays_the_same_goes_on(bench: RuntimeBench) -> None:
    runtime = bench.runtime
    assert await runtime.change(resolved(air("a"), air("b"))) == ["a", "b"]
    sensors, uplink = dict(runtime.sensors), runtime.uplink
    assert await runtime.change(resolved(air("b"), air("a"))) == []
    assert (runtime.sensors, runtime.uplink) == (sensors, uplink)
    assert await runtime.change(resolved(air("a"), air("b", interval_s=5), air("c"))) == ["b", "c"]
    assert runtime.sensors["a"] is sensors["a"]
    assert runtime.sensors["b"] is not sensors["b"]
    assert runtime.uplink is not uplink
    assert await runtime.change(resolved()) == []
    assert runtime.sensors == {}
    assert sensors["a"].task.cancelled()


async def test_after_a_change_that_failed_halfway_the_one_before_runs_again(bench: RuntimeBench) -> None:
    runtime, before = bench.runtime, resolved(air("a"), air("b"))
    await runtime.change(before)
    a, uplink = runtime.sensors["a"], runtime.uplink
    bench.store.fails = True
    with pytest.raises(OSError, match="no room"):
        await runtime.change(resolved(air("a"), air("b", interval_s=5)))
    assert await runtime.change(before) == ["b"]
    assert runtime.sensors["a"] is a
    assert runtime.uplink is not uplink
    assert len(runtime.tasks) == 4
    assert not any(task.done() for task in runtime.tasks)


async def test_a_port_is_free_before_a_sensor_of_the_new_configuration_opens_it(bench: RuntimeBench) -> None:
    pty = PtyPort()
    try:
        bus = {"id": "line", "port": pty.port, "baud": 9600}
        meter, catalog = {"id": "mains", "driver": "pzem004t", "bus": "line"}, Catalog()
        await bench.runtime.change(resolved(meter, bus=[bus], catalog=catalog))
        await until(lambda: pty.is_open() and pty.baud() == 9600)
        await bench.runtime.change(resolved(meter, bus=[{**bus, "baud": 19_200}], catalog=catalog))
        await until(lambda: pty.is_open() and pty.baud() == 19_200)
        await bench.runtime.change(resolved())
        assert not pty.is_open()
    finally:
        pty.close()


async def test_it_says_how_sensors_and_broker_are(connected: RuntimeBench) -> None:
    runtime = connected.runtime
    assert runtime.observe().sessions == 0
    await runtime.change(resolved(air("a")))
    await until(lambda: runtime.observe().online)
    seen = runtime.observe()
    assert (seen.proven, seen.sessions, seen.acknowledged, seen.echoed) == (frozenset(), 1, False, False)
    await until(lambda: runtime.observe().lost == {"a"})


async def test_a_report_is_published_in_each_session_also_after_a_change(connected: RuntimeBench) -> None:
    runtime, links = connected.runtime, connected.connections.links

    def reported(at: int) -> list[dict[str, Any]]:
        sent = links[at].sent if len(links) > at else []
        return [json.loads(one.payload) for one in sent if one.topic.endswith("/config/reported")]

    await runtime.change(resolved())
    await until(lambda: runtime.observe().online)
    runtime.report({"version": 7})
    await _acknowledge(connected, lambda: bool(reported(0)))
    await runtime.change(resolved(publish={"max_rows": 9}))
    await _acknowledge(connected, lambda: bool(reported(1)))
    assert (reported(0)[-1]["version"], reported(1)[-1]["version"]) == (7, 7)


async def test_messages_about_configurations_are_handed_on(connected: RuntimeBench) -> None:
    await connected.runtime.change(resolved())
    await until(lambda: connected.runtime.observe().online)
    link = connected.connections.links[0]
    desired = Message("makassar/v1/health/batua/batua-01/config/desired", b"{}", True)
    await _acknowledge(connected, lambda: desired.topic in link.subscribed)
    link.on_message(desired)
    assert connected.configured == [desired]


async def _acknowledge(bench: RuntimeBench, reached: Any) -> None:
    """Acknowledge what is sent, until it is reached."""
    done: dict[int, int] = {}

    def answered() -> bool:
        for at, link in enumerate(bench.connections.links):
            for sent in link.sent[done.get(at, 0) :]:
                link.on_ack(sent.mid, 0)
            done[at] = len(link.sent)
        return bool(reached())

    await until(answered)


async def test_the_configured_gnss_receiver_sets_the_clock_and_no_other(bench: RuntimeBench) -> None:
    with contextlib.closing(PtyPort()) as one, contextlib.closing(PtyPort()) as other:
        gps = {"driver": "nmea0183"}
        sensors = [{"id": "gps", "port": one.port, **gps}, {"id": "spare", "port": other.port, **gps}]
        await bench.runtime.change(resolved(*sensors, clock={"source": "gps"}, catalog=Catalog()))
        await until(lambda: one.is_open() and other.is_open())
        one.write(encode_rmc({"utc": "083559.00", "date": "241126"}))
        other.write(encode_rmc({"utc": "093559.00", "date": "241126"}))
        await until(lambda: len(bench.clock.gnss) == 2 and len(bench.store.bodies("telemetry/spare")) == 1)
        assert bench.clock.gnss[0] is None, "a new source: what the clock knew is forgotten"
        offered = bench.clock.gnss[1]
        assert offered is not None
        assert offered[0] == 1_795_509_359_000
        await bench.runtime.change(resolved(*sensors, clock={"source": "spare"}, catalog=Catalog()))
        assert bench.clock.gnss[2] is None
        await until(other.is_open)
        other.write(encode_rmc({"utc": "093559.00", "date": "241126"}))
        await until(lambda: len(bench.clock.gnss) == 4)
