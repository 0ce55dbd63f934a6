"""Whatever two configurations are: the sensors that the plan names are those that a running gateway restarts."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.diff import Unresolved, diff
from agent.config.resolve import ResolvedConfig, resolve
from agent.update.signed.plan import summary
from drivers.sdk.contract import Driver
from tests.agent.app.runtime_fakes import RuntimeBench
from tests.agent.config.config_fakes import DUST, HOST, FakeCatalog
from tests.agent.update.signing_fakes import local_files

URL = "mqtt://127.0.0.1:1"
"""Where nobody listens."""
NAMES = ("air", "host", "mains", "lamp", "door", "mast", "gps")
FIELDS = {"air": "pm10", "mains": "voltage"}
"""What can be watched."""


class Nothing:
    """A reader that gives nothing."""

    def read(self) -> bytes:
        return b""

    def close(self) -> None:
        """There is nothing to close."""


QUIET = replace(HOST, reader=lambda options: Nothing())


class Installed(FakeCatalog):
    """Drivers of which one comes in editions: its profile was edited, and all that it declares stays the same."""

    EDITIONS = (DUST, replace(DUST, page=replace(DUST.page, about="another edition")))

    def __init__(self, edition: int) -> None:
        self._edition = edition

    def get(self, name: str) -> Driver:
        if name == "host":
            return QUIET
        return self.EDITIONS[self._edition] if name == "dust" else super().get(name)


def _sensor(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """One of the gateway's sensors, as it is or a little otherwise."""
    usual: dict[str, dict[str, Any]] = {
        "air": {"driver": "dust", "port": "/dev/air", "angle_deg": 10},
        "host": {"driver": "host"},
        "mains": {"driver": "meter", "bus": "one", "unit": 1},
        "lamp": {"driver": "meter", "bus": "one", "unit": 2},
        "door": {"driver": "meter", "bus": "two", "unit": 1},
        "gps": {"driver": "receiver", "port": "/dev/gps"},
        "mast": {"driver": "generic", "port": "/dev/mast", "frame": {"sync": "AA"}},
    }
    edits: list[dict[str, Any]] = [
        {},
        {},
        {},
        {"interval_s": 7},
        {"interval_s": 7.0},
        {"required": False},
        {"label": "roof"},
    ]
    more = {
        "air": [{"angle_deg": 20}, {"baud": 19200}, {"port": "/dev/other"}],
        "lamp": [{"bus": "two"}, {"unit": 3}],
        "mast": [{"frame": {"sync": "AA", "end": "BB"}}],
    }
    return st.sampled_from(edits + more.get(name, [])).map(lambda edit: {"id": name, **usual[name], **edit})


@st.composite
def configurations(draw: st.DrawFn) -> tuple[int, Mapping[str, Any]]:
    """An edition of the installed drivers, and the tables of a configuration that can be built."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    more = draw(st.sampled_from([(), (), ("three",)]))
    buses = [
        {"id": bus, "port": f"/dev/{bus}", "baud": draw(st.sampled_from([9600, 9600, 19200]))}
        for bus in ("one", "two", *more)
    ]
    watched = draw(st.sampled_from([name for name in FIELDS if name in names] or [""]))
    alarm = {"id": "hot", "sensor": watched, "field": FIELDS.get(watched), "above": draw(st.sampled_from([1, 2]))}
    alarms = [alarm] if watched and draw(st.booleans()) else []
    tables: dict[str, Any] = {
        "gateway": {"id": draw(st.sampled_from(["batua-01", "batua-01", "batua-02"])), "site": "s", "sector": "health"},
        "broker": {"url": URL},
        "publish": draw(st.sampled_from([{}, {}, {"max_rows": 9}])),
        "bus": buses,
        "privacy": draw(st.sampled_from([{}, {}, {}, {"identifiers": "none"}])),
        "alarm": alarms,
        "clock": draw(st.sampled_from([{}, {"grace_s": 5}, {"source": "gps"} if "gps" in names else {}])),
        "sensor": [draw(_sensor(name)) for name in names],
    }
    return draw(st.sampled_from([0, 0, 0, 1])), tables


def resolved(configuration: tuple[int, Mapping[str, Any]]) -> ResolvedConfig:
    edition, tables = configuration
    return resolve(local_files(base=tables), Installed(edition))


async def restarted(old: ResolvedConfig, new: ResolvedConfig) -> dict[str, Any]:
    """What a running gateway does, in the words of a plan."""
    bench = RuntimeBench()
    runtime = bench.runtime
    try:
        await runtime.change(old)
        before, uplink = dict(runtime.sensors), runtime.uplink
        started = await runtime.change(new)
        after = runtime.sensors
        assert set(started) == {name for name in after if after[name] is not before.get(name)}
        return {
            "added": sorted(after.keys() - before.keys()),
            "removed": sorted(before.keys() - after.keys()),
            "changed": sorted(name for name in after if name in before and after[name] is not before[name]),
            "reconnect": runtime.uplink is not uplink,
        }
    finally:
        await bench.close()


@settings(max_examples=60)
@given(configurations(), configurations())
def test_d1_the_plan_names_exactly_what_a_running_gateway_restarts(
    old: tuple[int, Mapping[str, Any]], new: tuple[int, Mapping[str, Any]]
) -> None:
    before, after = resolved(old), resolved(new)
    plan = summary(before, after)
    if old[0] == new[0]:  # at a desk the plan is made of the tables alone: no driver was edited
        desk = diff(Unresolved(before.tables), Unresolved(after.tables))
        assert desk == diff(before, after)
    del plan["paths"]
    assert asyncio.run(restarted(before, after)) == plan
