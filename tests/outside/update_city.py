"""A gateway that is sent configurations, its broker, which a test commands, and its maintainer."""

import json
from pathlib import Path
from typing import Any

from tests.support.agent_process import BASE, AgentProcess, configuration, sensor
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import until
from tests.support.scripted_broker import ScriptedBroker
from tests.support.update_reports import UpdateReports

LOAD = {"id": "load", "driver": "system", "interval_s": 0.2}
MORE = {"id": "more", "driver": "system", "interval_s": 0.2}


class City(UpdateReports):
    """A broker that a test commands, a gateway, and a maintainer."""

    def __init__(self, folder: Path, broker: ScriptedBroker) -> None:
        self.folder = folder
        self.broker = broker
        self.maintainer = Maintainer(folder / "keys")
        (folder / "trust.json").write_bytes(self.maintainer.trust())
        self.packages = folder / "packages"
        self.packages.mkdir()
        text = configuration(broker.url, [sensor("load", "system", more="interval_s = 0.2")], "max_delay_s = 0.1")
        self.agent = AgentProcess(folder, text, self.packages, module="tests.support.hasty_agent")

    def push(
        self,
        version: int,
        *sensors: dict[str, Any],
        broker: dict[str, Any] | None = None,
        confirm_s: float = 2,
        **more: Any,
    ) -> None:
        config = {
            "broker": broker or {"url": self.broker.url},
            "publish": {"max_delay_s": 0.1},
            "sensor": list(sensors or (LOAD,)),
        }
        self.send(self.maintainer.configuration(version, config, confirm_s=confirm_s, **more))

    def send(self, payload: bytes, leaf: str = "desired") -> None:
        self.broker.say(f"{BASE}/config/{leaf}", payload)

    @property
    def reported(self) -> dict[str, Any]:
        return json.loads(self.broker.retained.get(f"{BASE}/config/reported", b"{}"))

    async def samples(self, name: str = "load") -> None:
        """It is there, and goes on sampling."""
        before = len(self.broker.rows(f"telemetry/{name}"))
        await until(lambda: len(self.broker.rows(f"telemetry/{name}")) > before + 1)
        assert self.agent.running()

    @property
    def kept(self) -> Path:
        """Where the agent keeps its configurations."""
        return self.agent.state / "config"
